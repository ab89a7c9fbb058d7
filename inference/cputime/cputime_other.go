//go:build !unix

package cputime

import "time"

var began = time.Now()

// Now returns the time since the process began: the processor's is not to be had
// here, and the wall clock's bounds it from above for what one thread does.
func Now() time.Duration { return time.Since(began) }
