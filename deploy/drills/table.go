package main

import "slices"

// table is every drill, in the order they run: one list a section, one file a
// list.
func table() []Drill {
	return slices.Concat(registration, health, evidence, integrity, residency, overload, disconnects, drain, stops,
		attacks, exhaustion, leftovers, systemd, soaked)
}

// notOnCPU are promises of which no part can be shown without a GPU, and why.
var notOnCPU = map[int]string{}
