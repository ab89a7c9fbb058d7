//go:build race

package backendtest

// Under the race detector, which makes plain Go arithmetic some ten times
// slower, one variant of the model is played: it shares memory between
// goroutines in all the ways the others do.
const modelsPlayed = 1
