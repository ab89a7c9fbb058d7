package main

// overload: more work than can be done.
var overload = []Drill{}
