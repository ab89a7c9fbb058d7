//go:build cuda

package cuda

import (
	"embed"
	"strings"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/backendtest"
	"llorch/inference/backend/cuda/driver/drivertest"
)

//go:embed kernels/*.fatbin
var testImages embed.FS

func openHardware(t *testing.T) backend.Device { return openDevice(t) }

func openDevice(t testing.TB) *Device {
	t.Helper()
	drv := drivertest.Open(t)
	images := map[string]string{}
	entries, err := testImages.ReadDir("kernels")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := testImages.ReadFile("kernels/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		images[strings.TrimSuffix(e.Name(), ".fatbin")] = string(b)
	}
	d, err := newDevice(drv, 0, images)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSuite runs what every device must pass.
func TestSuite(t *testing.T) { backendtest.Run(t, openHardware) }
