//go:build race

package tokenize

// slowdown is what the race detector costs where a test measures time.
const slowdown = 10
