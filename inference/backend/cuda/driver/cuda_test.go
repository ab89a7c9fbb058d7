//go:build cuda

package driver_test

import (
	"errors"
	"testing"

	. "llorch/inference/backend/cuda/driver"
)

func TestOpenTwice(t *testing.T) {
	_, first := Open()
	_, second := Open()
	if (first == nil) != (second == nil) || first != nil && first.Error() != second.Error() {
		t.Fatalf("the second Open says %v, the first said %v", second, first)
	}
	if first != nil && !errors.Is(first, ErrNoDriver) && Code(first) == 0 {
		t.Fatalf("neither a missing driver nor an error of it: %v", first)
	}
	t.Logf("Open: %v", first)
}

// Without Open every call is an error, never a crash.
func TestBeforeOpen(t *testing.T) {
	if _, err := Open(); err == nil {
		t.Skip("not run: there is a driver, and it is open")
	}
	var d CUDA
	if _, err := d.DeviceCount(); Code(err) != CodeNotInitialized {
		t.Errorf("DeviceCount: %v", err)
	}
	if _, err := d.MemAlloc(1 << 20); Code(err) != CodeNotInitialized {
		t.Errorf("MemAlloc: %v", err)
	}
	if _, err := d.PointerInfo(1); Code(err) != CodeNotInitialized {
		t.Errorf("PointerInfo: %v", err)
	}
	if err := d.Launch(0, 0, Blocks(1, 32), nil); Code(err) != CodeNotInitialized {
		t.Errorf("Launch: %v", err)
	}
}
