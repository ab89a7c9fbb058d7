//go:build cuda

package driver

import (
	"errors"
	"runtime"
	"testing"
)

// open gives a test the driver and a current context on device 0, or skips it
// with the reason. The test's goroutine keeps its OS thread.
func open(t *testing.T) *CUDA {
	t.Helper()
	d, err := Open()
	if err != nil {
		t.Skipf("not run: %v", err)
	}
	if n, err := d.DeviceCount(); err != nil || n == 0 {
		t.Skipf("not run: %d devices, %v", n, err)
	}
	runtime.LockOSThread()
	c, err := d.RetainPrimary(0, Spin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(d.SetCurrent(0), d.ReleasePrimary(0)); err != nil {
			t.Error(err)
		}
		runtime.UnlockOSThread()
	})
	if err := d.SetCurrent(c); err != nil {
		t.Fatal(err)
	}
	return d
}

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
	if err := d.Launch(0, 0, Blocks(1, 32), nil); Code(err) != CodeNotInitialized {
		t.Errorf("Launch: %v", err)
	}
}
