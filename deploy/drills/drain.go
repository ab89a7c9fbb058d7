package main

// drain: being told to stop, at every moment.
var drain = []Drill{}
