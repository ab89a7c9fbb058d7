//go:build cuda && llorch_faults

package cuda

import (
	"os"

	"llorch/inference/backend/cuda/driver"
)

// withFaults has the driver fail as FAULTY_DRIVER says: see driver.ParseFailures. The
// calls count from the moment the device is open, its context and kernels being there.
func withFaults(d driver.Driver) (driver.Driver, error) {
	all, err := driver.ParseFailures(os.Getenv("FAULTY_DRIVER"))
	if err != nil || len(all) == 0 {
		return d, err
	}
	return &driver.Injector{Driver: d, Fail: all.Fail}, nil
}
