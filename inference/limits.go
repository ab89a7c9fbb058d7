package inference

import (
	"fmt"

	"llorch/inference/backend"
)

// Limits measures what the engine's hardware allows, between two steps, which takes
// up to a second and keeps running requests waiting. The error is the device fault,
// ErrClosed, or that the device cannot do it.
func (e *Engine) Limits() (backend.Limits, error) {
	limiter := backend.Limiting(e.dev)
	if limiter == nil {
		return backend.Limits{}, fmt.Errorf("inference: device %s cannot measure its limits", e.info.Device.Kind)
	}
	type result struct {
		limits backend.Limits
		err    error
	}
	measured := make(chan result, 1) // nobody may be waiting any more
	e.aside(func() error {
		l, err := limiter.Limits()
		measured <- result{l, err}
		return err
	})
	select {
	case r := <-measured:
		return r.limits, r.err
	case <-e.stopped:
	}
	return backend.Limits{}, e.ended()
}
