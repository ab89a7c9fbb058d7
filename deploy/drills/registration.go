package main

// registration: the orchestrator that is down, slow, wrong or forgetful.
var registration = []Drill{}
