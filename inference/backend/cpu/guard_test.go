//go:build cgo && linux

package cpu_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// mappedFile maps a new file of that size read-only.
func mappedFile(t *testing.T, size int) (*os.File, []byte) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "weights"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
	host, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(host) })
	return f, host
}

// TestTruncatedFile: weights whose file shrinks make a fault that names the
// place and stays, in the pool's threads and on the caller's; the process and
// another device live on.
func TestTruncatedFile(t *testing.T) {
	const rows, cols = 512, 512
	for threads := 1; threads <= 2; threads++ {
		d, other := device(t, "", threads), device(t, "", threads)
		f, host := mappedFile(t, rows*cols*4)
		w, err := d.Place(tensor.F32, rows, cols, host)
		if err != nil {
			t.Fatal(err)
		}
		l := backend.Linear{{W: w}}
		run(t, d, l, make([]float32, 3*cols), phased(3, 2)) // whole, it works

		if err := f.Truncate(100_000); err != nil {
			t.Fatal(err)
		}
		dst, x := input(t, d, 3, rows, nil), input(t, d, 3, cols, nil)
		for range 3 {
			d.Linear(dst, x, l, phased(3, 2))
			err := d.Sync()
			var fault *backend.Fault
			if !errors.As(err, &fault) || fault.Class != "sigbus" {
				t.Fatalf("Sync after truncation: %v", err)
			}
			if !strings.Contains(fault.Reason, "placed weight 0") || !strings.Contains(fault.Reason, "truncated") {
				t.Errorf("the fault does not say where and why: %v", fault)
			}
		}
		if err := other.Sync(); err != nil {
			t.Errorf("another device reports %v", err)
		}
	}
}

// TestForeignSIGBUS: a lost page that is no weight of ours goes to Go, which
// makes a panic of it where it is asked to.
func TestForeignSIGBUS(t *testing.T) {
	device(t, "", 1)
	f, host := mappedFile(t, 1<<20)
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	defer setPanicOnFault(t)()
	defer func() {
		if recover() == nil {
			t.Error("a read of a lost page went on")
		}
	}()
	sink = host[4096]
}

// TestGuardClosesBesideAFault: devices come and go while others lose pages of
// their files, and every loss is found by the device it belongs to.
func TestGuardClosesBesideAFault(t *testing.T) {
	const rows, cols = 64, 1024
	_, host := mappedFile(t, 1<<16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			d, err := backend.Open("cpu", backend.Options{Threads: 1})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := d.Place(tensor.F32, 1, 1024, host[:4096]); err != nil {
				t.Error(err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 50 {
		d := device(t, "", 1)
		f, host := mappedFile(t, rows*cols*4)
		w, err := d.Place(tensor.F32, rows, cols, host)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(0); err != nil {
			t.Fatal(err)
		}
		d.Linear(input(t, d, 1, rows, nil), input(t, d, 1, cols, nil), backend.Linear{{W: w}}, phased(1, 1))
		var fault *backend.Fault
		if err := d.Sync(); !errors.As(err, &fault) || fault.Class != "sigbus" {
			t.Fatalf("Sync after truncation: %v", err)
		}
	}
	<-done
}
