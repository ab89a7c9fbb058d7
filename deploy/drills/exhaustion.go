package main

// exhaustion: descriptors, disk, memory and threads that are used up.
var exhaustion = []Drill{}
