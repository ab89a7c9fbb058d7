//go:build cgo

package cpu_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/backend/backendtest"
	"llorch/inference/backend/cpu"
	"llorch/inference/sample"
	"llorch/inference/tensor"
)

var sink byte

func setPanicOnFault(t *testing.T) func() {
	t.Helper()
	old := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(old) }
}

// TestModelBitsByThreads runs a small model with 1, 2 and 3 threads.
func TestModelBitsByThreads(t *testing.T) {
	opener := func(threads int) func(t *testing.T) backend.Device {
		return func(t *testing.T) backend.Device {
			d, err := backend.Open("cpu", backend.Options{Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	}
	backendtest.SameBits(t, opener(1), opener(2))
	backendtest.SameBits(t, opener(1), opener(3))
}

func TestOpen(t *testing.T) {
	for _, c := range []struct {
		name string
		o    backend.Options
		env  string
		isa  string
		err  string
	}{
		{name: "best", isa: cpu.ISAs()[len(cpu.ISAs())-1]},
		{name: "by option", o: backend.Options{ISA: "portable"}, env: "nonsense", isa: "portable"},
		{name: "by environment", env: "ref", isa: "portable"},
		{name: "unknown", o: backend.Options{ISA: "mmx"}, err: `"mmx" is not one this host runs: choose portable`},
		{name: "unknown by environment", env: "sse9", err: `"sse9" is not one`},
		{name: "second device", o: backend.Options{Index: 1}, err: "index 0, not 1"},
		{name: "negative threads", o: backend.Options{Threads: -1}, err: "-1 threads"},
		{name: "too many threads", o: backend.Options{Threads: 5000}, err: "5000 threads"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("LLORCH_CPU", c.env)
			d, err := backend.Open("cpu", c.o)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want an error with %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			i := d.Info()
			if i.ISA != c.isa || i.Kind != "cpu" || i.Threads < 1 || i.Name == "" || i.Architecture != "ram" {
				t.Errorf("Info is %+v", i)
			}
		})
	}
}

func TestAllocTooMuch(t *testing.T) {
	d := device(t, "", 1)
	for _, cols := range []int{1 << 30, 1 << 38} {
		if _, err := d.Alloc(backend.Cache, tensor.F16, 1<<20, cols); !errors.Is(err, backend.ErrMemory) {
			t.Errorf("Alloc of 2^20 × %d: %v", cols, err)
		}
	}
}

// TestSampleNaN: the row without a choice fails, by its number; the others are
// chosen, and the error does not stay.
func TestSampleNaN(t *testing.T) {
	d := device(t, "", 1)
	logits := input(t, d, 3, 4, []float32{0, 1, 0, 0, 0, float32(math.NaN()), 0, 0, 0, 0, 0, 9})
	ids := []int32{7, 7, 7}
	d.Sample(ids, logits, make([]sample.Params, 3))
	err := d.Sync()
	if !errors.Is(err, sample.ErrNotFinite) || !strings.Contains(err.Error(), "row 1") || backend.IsFault(err) {
		t.Errorf("Sync: %v", err)
	}
	if !slices.Equal(ids, []int32{1, -1, 3}) {
		t.Errorf("ids %v", ids)
	}
	if err := d.Sync(); err != nil {
		t.Errorf("the failure stayed: %v", err)
	}
}

// TestCallersDenormals: a step flushes denormals, the caller's thread does not.
func TestCallersDenormals(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d := device(t, "", 2)
	small := float32(1e-40)
	l, err := d.Place(tensor.F32, 1, 1, []byte{0, 0, 0x80, 0x3f})
	if err != nil {
		t.Fatal(err)
	}
	run(t, d, backend.Linear{{W: l}}, []float32{1}, phased(1, 1))
	if small/2 == 0 || float64(small/2) < 4e-41 {
		t.Error("the caller's denormals are gone")
	}
}

// poolThreads counts the pool threads of this process.
func poolThreads(t *testing.T) int {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/comm")
	if err != nil || len(tasks) == 0 {
		t.Skip("threads cannot be listed here")
	}
	n := 0
	for _, task := range tasks {
		name, _ := os.ReadFile(task)
		if strings.HasPrefix(string(name), "llorch-cpu-") {
			n++
		}
	}
	return n
}

func processTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestPool: the threads are there while the device is open, take no time while
// it is idle, wake up again, and are gone when it is closed.
func TestPool(t *testing.T) {
	before := poolThreads(t)
	d, err := backend.Open("cpu", backend.Options{Threads: 5})
	if err != nil {
		t.Fatal(err)
	}
	x, y := input(t, d, 64, 64, nil), input(t, d, 64, 64, nil)
	w := input(t, d, 1, 64, nil)
	for range 3 {
		for i := range x.Float32s() {
			x.Float32s()[i] = 1
		}
		w.Float32s()[0]++
		d.RMSNorm(y, x, w, 0)
		if err := d.Sync(); err != nil || y.Float32s()[63*64] != w.Float32s()[0] {
			t.Fatalf("%v after %v", y.Float32s()[63*64], err)
		}
		time.Sleep(5 * time.Millisecond) // long enough to park
	}
	if n := poolThreads(t) - before; n != 4 {
		t.Errorf("%d threads of 4", n)
	}
	start := processTime(t)
	time.Sleep(300 * time.Millisecond)
	if used := processTime(t) - start; used > 30*time.Millisecond {
		t.Errorf("an idle device took %v of 300 ms", used)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if n := poolThreads(t) - before; n != 0 {
		t.Errorf("%d threads are left", n)
	}
}

func TestMeasure(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second of both cores")
	}
	for _, isa := range cpu.ISAs() {
		l, err := cpu.Measure(2, isa)
		if err != nil {
			t.Fatal(err)
		}
		all := []float64{l.ReadGBs1, l.ReadGBsN, l.FMAGFlops1, l.FMAGFlopsN}
		if isa != "portable" && runtime.GOARCH == "amd64" {
			all = append(all, l.IntGops1, l.IntGopsN)
		} else if l.IntGopsN != 0 {
			t.Errorf("%s: 8-bit dot products at %v Gop/s, and it has none", isa, l.IntGopsN)
		}
		if isa == "avx512bf16" {
			all = append(all, l.PairGFlops1, l.PairGFlopsN)
		}
		if isa == "amx" {
			all = append(all, l.TileGFlops1, l.TileGFlopsN)
		}
		for _, v := range all {
			if v < 0.5 || v > 1e5 {
				t.Errorf("%s: limits that no machine has: %+v", isa, l)
			}
		}
		t.Logf("%s: %+v", isa, l)
	}
}

// pause waits for up to 300 µs: pool threads park after 100.
func pause(r *rand.Rand) { time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond) }
