package inference

import (
	"fmt"

	"llorch/inference/backend"
)

// Limits measures what the engine's hardware allows, which takes about a second
// and disturbs running requests.
func (e *Engine) Limits() (backend.Limits, error) {
	dev := e.dev
	if u, wrapped := dev.(interface{ Unwrap() backend.Device }); wrapped {
		dev = u.Unwrap()
	}
	limiter, ok := dev.(backend.Limiter)
	if !ok {
		return backend.Limits{}, fmt.Errorf("inference: device %s cannot measure its limits", e.info.Device.Kind)
	}
	return limiter.Limits()
}
