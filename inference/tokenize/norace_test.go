//go:build !race

package tokenize

const slowdown = 1
