package main

// systemd: what the service manager is told.
var systemd = []Drill{}
