//go:build llorch_faults

package inference

import (
	"errors"
	"os"

	"llorch/inference/backend"
	"llorch/inference/backend/faulty"
)

// withFaults has the device fail as FAULTY_DEVICE says: see package faulty.
func withFaults(d backend.Device) (backend.Device, error) {
	plan, err := faulty.Parse(os.Getenv("FAULTY_DEVICE"))
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if len(plan) == 0 {
		return d, nil // with all its abilities
	}
	return faulty.New(d, plan), nil
}
