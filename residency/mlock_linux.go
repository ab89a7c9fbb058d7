package residency

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Lock pins the pages of claims in memory, all or none; it reads in what is missing. The error is a *LockError. A lock
// goes with its mapping or with Unlock, and does not nest.
func Lock(claims []Claim) error {
	spans := pageSpans(claims, os.Getpagesize())
	var need int64
	for _, s := range spans {
		need += s.bytes()
	}
	limit, err := lockLimit()
	if err != nil {
		return &LockError{Need: need, Limit: -1, Err: err}
	}
	if limit < need {
		// Asked first: the kernel would lock what fits, reading it from disk, before it fails.
		return &LockError{Need: need, Limit: limit, Err: unix.ENOMEM}
	}
	for i, s := range spans {
		if err := lockCall(unix.SYS_MLOCK, s); err != nil {
			for _, done := range spans[:i] {
				lockCall(unix.SYS_MUNLOCK, done) // cannot fail on a range that was just locked
			}
			return &LockError{Need: need, Limit: limit, Err: err}
		}
	}
	return nil
}

// Unlock undoes Lock.
func Unlock(claims []Claim) error {
	var errs []error
	for _, s := range pageSpans(claims, os.Getpagesize()) {
		if err := lockCall(unix.SYS_MUNLOCK, s); err != nil {
			errs = append(errs, fmt.Errorf("residency: unlock %d bytes at %#x: %w", s.bytes(), s.start, err))
		}
	}
	return errors.Join(errs...)
}

// lockCall is a system call on addresses: the ranges are not Go memory, so there is no slice to hand to x/sys.
func lockCall(call uintptr, s span) error {
	if _, _, errno := unix.Syscall(call, s.start, s.end-s.start, 0); errno != 0 {
		return errno
	}
	return nil
}

// lockLimit is how many bytes this process may lock: RLIMIT_MEMLOCK, or no limit with CAP_IPC_LOCK.
func lockLimit() (int64, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &r); err != nil {
		return 0, fmt.Errorf("RLIMIT_MEMLOCK: %w", err)
	}
	var caps [2]unix.CapUserData // version 3 of the call fills two words
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return 0, fmt.Errorf("capabilities: %w", err)
	}
	if caps[0].Effective&(1<<unix.CAP_IPC_LOCK) != 0 || r.Cur > math.MaxInt64 {
		return math.MaxInt64, nil
	}
	return int64(r.Cur), nil
}

func lockAdvice(need, limit int64) string {
	return fmt.Sprintf("%d bytes are needed and RLIMIT_MEMLOCK is %d: raise it with ulimit -l or LimitMEMLOCK=infinity in the unit, "+
		"or give the program CAP_IPC_LOCK", need, limit)
}
