package main

import "slices"

// table is every drill, in the order they run: one list a section, one file a
// list.
func table() []Drill {
	return slices.Concat(registration, health, integrity, residency, overload, disconnects, drain, attacks, exhaustion, leftovers, systemd)
}

// notOnCPU are promises of which no part can be shown without a GPU, and why.
var notOnCPU = map[int]string{}

// owed are promises without a drill yet. An entry goes when its drill comes:
// the test insists on both.
var owed = map[int]string{
	6: "memory plan", 13: "same text in a batch",
}
