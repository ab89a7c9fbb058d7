//go:build cuda

package drivertest

import (
	"errors"
	"runtime"
	"testing"

	"llorch/inference/backend/cuda/driver"
)

// Open gives a test the driver with a context on device 0, or skips the test and
// says why. The test's goroutine keeps its OS thread to the end.
func Open(t testing.TB) *driver.CUDA {
	t.Helper()
	d, err := driver.Open()
	if err != nil {
		t.Skipf("not run: %v", err)
	}
	if n, err := d.DeviceCount(); err != nil || n == 0 {
		t.Skipf("not run: %d devices, %v", n, err)
	}
	runtime.LockOSThread()
	c, err := d.RetainPrimary(0, driver.Spin)
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

// Upload copies v to new memory that is freed with the test.
func Upload[E any](t testing.TB, d driver.Driver, v []E) driver.Ptr {
	t.Helper()
	b := driver.Bytes(v)
	p := Alloc(t, d, int64(len(b)))
	if err := d.CopyHtoD(p, b); err != nil {
		t.Fatal(err)
	}
	return p
}

// Alloc gives memory that is freed with the test.
func Alloc(t testing.TB, d driver.Driver, bytes int64) driver.Ptr {
	t.Helper()
	p, err := d.MemAlloc(bytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.MemFree(p); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Download waits for the device and copies n values from p.
func Download[E any](t testing.TB, d driver.Driver, p driver.Ptr, n int) []E {
	t.Helper()
	v := make([]E, n)
	if err := errors.Join(d.Synchronize(), d.CopyDtoH(driver.Bytes(v), p)); err != nil {
		t.Fatal(err)
	}
	return v
}

// Stream gives a stream that is destroyed with the test.
func Stream(t testing.TB, d driver.Driver) driver.Stream {
	t.Helper()
	s, err := d.StreamCreate(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.StreamDestroy(s); err != nil {
			t.Error(err)
		}
	})
	return s
}
