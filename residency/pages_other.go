//go:build !linux

package residency

import (
	"errors"
	"fmt"
	"runtime"
)

// Pages is the probe of host memory, which is written for Linux.
type Pages struct{}

// OpenPages fails with ErrNotObservable.
func OpenPages() (*Pages, error) {
	return nil, fmt.Errorf("%w: no page probe for %s", ErrNotObservable, runtime.GOOS)
}

// Resident fails with ErrNotObservable.
func (*Pages) Resident(uintptr, int64) (int64, error) {
	return 0, fmt.Errorf("%w: no page probe for %s", ErrNotObservable, runtime.GOOS)
}

// Close does nothing.
func (*Pages) Close() error { return nil }

// Lock fails with a *LockError.
func Lock(claims []Claim) error {
	return &LockError{Limit: -1, Err: fmt.Errorf("not written for %s: %w", runtime.GOOS, errors.ErrUnsupported)}
}

// Unlock does nothing, since nothing was locked.
func Unlock([]Claim) error { return nil }

func lockAdvice(int64, int64) string { return "" }
