package agent

import (
	"context"
	"errors"
	"time"
)

// loadGrace is what a load may take to notice a wish to stop. Reading files
// notices within a chunk; placing weights and the warm-up are calls of the
// device that nothing interrupts, and on a large model or a busy machine they
// outlast the five seconds that managers give before SIGKILL.
const loadGrace = 2 * time.Second

// errAbandoned is the result of work that did not end in time after a stop.
var errAbandoned = errors.New("agent: did not end in time after a stop and was left to the end of the process")

// interruptible runs f, which should end soon after stopping does. Where it has
// not ended within grace, or when cutting ends, it is abandoned: its goroutine
// runs on, what it holds is the kernel's to free, and the process must end.
func interruptible[T any](stopping, cutting context.Context, grace time.Duration, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-stopping.Done():
	}
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-cutting.Done():
	case <-patience.C:
	}
	var none T
	return none, errAbandoned
}
