// Package soak runs one worker for a long time under a thousand streams, with
// clients that leave at random, clients and orchestrators that misbehave, and a
// process that is stopped now and then. It counts every outcome, watches memory,
// descriptors, goroutines and probes, and judges them at the end.
//
// A request may end well, be cancelled by its own client, or be refused with a
// status that says so. Everything else is a failure, and one is too many.
package soak
