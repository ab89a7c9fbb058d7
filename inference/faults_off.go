//go:build !llorch_faults

package inference

import "llorch/inference/backend"

// withFaults is where a build for drills has its device fail; here none does.
func withFaults(d backend.Device) (backend.Device, error) { return d, nil }
