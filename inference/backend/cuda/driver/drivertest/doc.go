// Package drivertest opens the driver for tests that need a GPU. It is empty
// without the tag cuda.
package drivertest
