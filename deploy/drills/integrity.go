package main

// integrity: files and pages that are not what was loaded.
var integrity = []Drill{}
