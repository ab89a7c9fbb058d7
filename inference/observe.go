package inference

import (
	"context"

	"llorch/inference/backend"
)

// Observation is what the driver of a device with memory of its own says of it.
type Observation = backend.Observation

// Card is what the device measures of itself.
type Card = backend.Card

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
	e.aside(func() error {
		answer <- o.Observe()
		return e.dev.Sync() // a context may be lost while nobody computes
	})
	select {
	case seen := <-answer:
		// Its library may take milliseconds, which no step need wait for.
		seen.Occupancy = o.Occupied()
		return seen, nil
	case <-ctx.Done():
		return Observation{}, context.Cause(ctx)
	case <-e.stopped:
	}
	return Observation{}, e.ended()
}

// aside has the loop run something between two steps.
func (e *Engine) aside(run func() error) {
	e.mu.Lock()
	e.asides = append(e.asides, run)
	e.mu.Unlock()
	signal(e.wake)
}

// ended is why nothing runs asides any more.
func (e *Engine) ended() error {
	if err := e.Fault(); err != nil {
		return err
	}
	return ErrClosed
}
