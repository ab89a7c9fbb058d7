//go:build race

package weights

// slowdown is how much slower the race detector may make an operation whose time
// a test bounds.
const slowdown = 20
