//go:build cuda

package cuda

import (
	"os"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/backendtest"
)

// openHardware opens the first GPU, or skips the test and says why. LLORCH_TEST_RACECHECK=1 has all
// lanes of a warp arrive and kernels run one after the other, as racecheck wants it.
func openHardware(t testing.TB) *Device {
	t.Helper()
	h, err := observeHost()
	if err != nil {
		t.Fatal(err)
	}
	if h.DriverErr != nil || len(h.Devices) == 0 {
		t.Skipf("not run: %v, %d devices", h.DriverErr, len(h.Devices))
	}
	d, err := open(backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("LLORCH_TEST_RACECHECK") != "" {
		d.(*Device).arrive, d.(*Device).apart = 32, true
		d.(*Device).kern.attention.rings = nil // a copy after a vote of the warp looks like a race to it, too
	}
	d.(*Device).unchained = os.Getenv("LLORCH_TEST_UNCHAINED") != ""
	return d.(*Device)
}

// TestSuite runs what every device must pass.
func TestSuite(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backend.Device { return openHardware(t) })
}
