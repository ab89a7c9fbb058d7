// Package cputime is for tests that bound what an operation costs. The time of the
// processor does not grow with what else runs on the machine, as the wall clock's
// does; garbage collection and goroutines of the operation count, in whatever
// thread. Nothing else of the process should run beside what is measured.
package cputime
