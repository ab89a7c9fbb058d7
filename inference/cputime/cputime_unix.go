//go:build unix

package cputime

import (
	"syscall"
	"time"
)

// Now returns what all threads of this process have taken since it began, in user
// mode and in the kernel.
func Now() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // only for a wrong argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
