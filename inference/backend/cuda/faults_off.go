//go:build cuda && !llorch_faults

package cuda

import "llorch/inference/backend/cuda/driver"

// withFaults is where a build for drills has its driver fail; here none does.
func withFaults(d driver.Driver) (driver.Driver, error) { return d, nil }
