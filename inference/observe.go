package inference

import (
	"context"

	"llorch/inference/backend"
)

// Observation is what the driver of a device with memory of its own says of it.
type Observation = backend.Observation

// OwnMemory reports whether the device has memory of its own, which Observe tells
// of. Else it computes from this process's memory, at Regions.
func (e *Engine) OwnMemory() bool { return backend.Observing(e.dev) != nil }

// Observe asks the device's driver where its memory is: between two steps, because
// the account is the loop's and changes within steps, and because one OS thread
// holds the device. It waits for the step under way, until ctx ends. The error is
// ctx's, the device fault, or ErrClosed. OwnMemory must hold.
func (e *Engine) Observe(ctx context.Context) (Observation, error) {
	o := backend.Observing(e.dev)
	answer := make(chan Observation, 1) // nobody may be waiting any more
	e.mu.Lock()
	e.asides = append(e.asides, func() error {
		answer <- o.Observe()
		return e.dev.Sync() // a context may be lost while nobody computes
	})
	e.mu.Unlock()
	signal(e.wake)
	select {
	case seen := <-answer:
		// Its library may take milliseconds, which no step need wait for.
		seen.Occupancy = o.Occupied()
		return seen, nil
	case <-ctx.Done():
		return Observation{}, context.Cause(ctx)
	case <-e.stopped:
	}
	if err := e.Fault(); err != nil {
		return Observation{}, err
	}
	return Observation{}, ErrClosed
}
