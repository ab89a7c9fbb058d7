//go:build !linux

package cpu

import "runtime"

// defaultThreads takes every CPU: core and quota lists are Linux's.
func defaultThreads() int { return runtime.NumCPU() }

func processorName() string { return "cpu (" + runtime.GOARCH + ")" }
