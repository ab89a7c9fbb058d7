//go:build !race

package weights

const slowdown = 1
