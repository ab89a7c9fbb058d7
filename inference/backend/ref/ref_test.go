package ref_test

import (
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/backendtest"
	"llorch/inference/backend/ref"
)

func threads(n int) func(t *testing.T) backend.Device {
	return func(t *testing.T) backend.Device {
		d, err := ref.Open(backend.Options{Threads: n})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
}

func TestBackend(t *testing.T) { backendtest.Run(t, threads(2)) }

func TestThreadsDoNotMatter(t *testing.T) {
	backendtest.SameBits(t, threads(1), threads(3))
}
