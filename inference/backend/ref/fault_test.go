package ref

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// truncated maps a file of `rows` pages and then cuts it to `kept` pages.
func truncated(t *testing.T, rows, kept int) []byte {
	t.Helper()
	path, page := filepath.Join(t.TempDir(), "model.safetensors"), os.Getpagesize()
	if err := os.WriteFile(path, make([]byte, rows*page), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	host, err := unix.Mmap(int(f.Fd()), 0, rows*page, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(host) })
	if err := os.Truncate(path, int64(kept*page)); err != nil {
		t.Fatal(err)
	}
	return host
}

func open(t *testing.T, threads int) (*Device, backend.Device) {
	t.Helper()
	d, err := Open(backend.Options{Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, backend.Checked(d)
}

func alloc(t *testing.T, d backend.Device, rows, cols int) backend.Tensor {
	t.Helper()
	m, err := d.Alloc(backend.Scratch, tensor.F32, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestTruncatedWeights reads weights whose file was cut after it was mapped, in
// every op that reads weights, and on one and several goroutines.
func TestTruncatedWeights(t *testing.T) {
	const rows, kept = 4, 2
	cols := os.Getpagesize() / 2 // a row of F16 is a page
	for _, threads := range []int{1, 3} {
		for name, op := range map[string]func(d backend.Device, w backend.Tensor){
			"Linear": func(d backend.Device, w backend.Tensor) {
				d.Linear(alloc(t, d, 1, rows), alloc(t, d, 1, cols), backend.Linear{{W: w}}, nil)
			},
			"bias": func(d backend.Device, w backend.Tensor) {
				m, err := d.Alloc(backend.Weights, tensor.F16, cols, 3)
				if err != nil {
					t.Fatal(err)
				}
				d.LinearAdd(alloc(t, d, 1, cols), alloc(t, d, 1, 3), backend.Linear{{W: m, B: w.Slice(3, 4)}}, nil)
			},
			"Embed": func(d backend.Device, w backend.Tensor) {
				d.Embed(alloc(t, d, 2, cols), w, &backend.Batch{Tokens: []int32{0, 2}})
			},
			"RMSNorm": func(d backend.Device, w backend.Tensor) {
				d.RMSNorm(alloc(t, d, 5, cols), alloc(t, d, 5, cols), w.Slice(2, 3), 1e-5)
			},
			"Download": func(d backend.Device, w backend.Tensor) { d.Download(make([]byte, w.Bytes()), w) },
		} {
			_, d := open(t, threads)
			w, err := d.Place(tensor.F16, rows, cols, truncated(t, rows, kept))
			if err != nil {
				t.Fatal(err)
			}
			op(d, w)
			var f *backend.Fault
			if err := d.Sync(); !errors.As(err, &f) || f.Class != "sigbus" || !strings.Contains(f.Reason, "weights cannot be read at 0x") {
				t.Fatalf("%s: %v", name, err)
			}
			checkLatched(t, d)
		}
	}
}

// checkLatched: a faulted device computes nothing and says so at every Sync.
func checkLatched(t *testing.T, d backend.Device) {
	t.Helper()
	x, out := alloc(t, d, 1, 2), make([]byte, 8)
	binary.LittleEndian.PutUint32(out, 7)
	d.Download(out, x)
	if binary.LittleEndian.Uint32(out) != 7 {
		t.Error("a faulted device went on")
	}
	for range 2 {
		if err := d.Sync(); !backend.IsFault(err) {
			t.Errorf("the fault was forgotten: %v", err)
		}
	}
}

func TestUntruncatedPartStillReads(t *testing.T) {
	_, d := open(t, 2)
	cols := os.Getpagesize() / 2
	w, err := d.Place(tensor.F16, 4, cols, truncated(t, 4, 2))
	if err != nil {
		t.Fatal(err)
	}
	d.Linear(alloc(t, d, 1, 2), alloc(t, d, 1, cols), backend.Linear{{W: w.Slice(0, 2)}}, nil)
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
}

// TestOtherPanicsGoOn: only faults of given memory are the device's; a bug in
// an op must not be reported as one.
func TestOtherPanicsGoOn(t *testing.T) {
	d, _ := open(t, 1)
	defer func() {
		if recover() == nil {
			t.Error("a bug was swallowed")
		}
	}()
	d.each("test", 1, func(*worker, int) { var none []int; _ = none[len(d.workers)] })
}

func TestOpenRefuses(t *testing.T) {
	for want, o := range map[string]backend.Options{
		"device 1": {Index: 1}, `instruction set "avx2"`: {ISA: "avx2"}, "-1 threads": {Threads: -1},
	} {
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestRegistered(t *testing.T) {
	d, err := backend.Open("ref", backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if i := d.Info(); i.Kind != "ref" || i.Threads < 1 || i.Architecture != "ram" {
		t.Errorf("%+v", i)
	}
}

// TestTooMuchMemory asks for more than any address space has.
func TestTooMuchMemory(t *testing.T) {
	_, d := open(t, 1)
	if _, err := d.Alloc(backend.Cache, tensor.F32, 1<<40, 1<<18); !errors.Is(err, backend.ErrMemory) {
		t.Errorf("%v", err)
	}
	if d.Held()[backend.Cache] != 0 {
		t.Error("counted what it did not get")
	}
}
