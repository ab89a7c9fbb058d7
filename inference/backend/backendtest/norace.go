//go:build !race

package backendtest

// All variants of the model are played.
const modelsPlayed = len(variants)
