//go:build cgo

package cpu_test

import (
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/backendtest"
)

// device opens a device without the checking decorator.
func device(t testing.TB, isa string, threads int) backend.Device {
	t.Helper()
	d, err := backend.Open("cpu", backend.Options{ISA: isa, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestSuite(t *testing.T) {
	for _, isa := range everyISA() {
		t.Run(isa, func(t *testing.T) {
			backendtest.Run(t, func(t *testing.T) backend.Device {
				d, err := backend.Open("cpu", backend.Options{ISA: isa, Threads: 2})
				if err != nil {
					t.Fatal(err)
				}
				return d
			})
		})
	}
}
