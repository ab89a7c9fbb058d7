package main

// attacks: clients that mean harm and need time for it. The quick ones are tests
// of agent/e2e.
var attacks = []Drill{}
