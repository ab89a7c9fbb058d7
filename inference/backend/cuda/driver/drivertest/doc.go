// Package drivertest is drivers for tests: that of the GPU, for tests that need one,
// behind the tag cuda, and a fake for those that need none.
package drivertest
