//go:build cuda

package driver_test

import (
	_ "embed"
	"slices"
	"testing"

	. "llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/driver/drivertest"
)

//go:embed testdata/checks.fatbin
var checks string

// The twins of the structs in testdata/checks.cu.
type (
	sumParams struct {
		a, b, c Ptr
		n       uint64
	}
	chainParams struct {
		counter     Ptr
		step, early uint32
	}
	clusterParams struct{ out Ptr }
)

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// kernel loads checks.cu and finds a kernel in it.
func kernel(t *testing.T, d Driver, name string) Function {
	t.Helper()
	m := must[Module](t)(d.ModuleLoad(checks))
	t.Cleanup(func() { ok(t, d.ModuleUnload(m)) })
	return must[Function](t)(d.ModuleFunction(m, name))
}

func capability(t *testing.T, d Driver) int {
	t.Helper()
	return 10*must[int](t)(d.DeviceAttribute(0, CapabilityMajor)) + must[int](t)(d.DeviceAttribute(0, CapabilityMinor))
}

func ramp(n int, step float32) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i) * step
	}
	return v
}

func TestDeviceAnswers(t *testing.T) {
	d := drivertest.Open(t)
	version := must[int](t)(d.Version())
	name := must[string](t)(d.DeviceName(0))
	id := must[UUID](t)(d.DeviceUUID(0))
	total := must[int64](t)(d.DeviceBytes(0))
	free, all, err := d.MemInfo()
	ok(t, err)
	t.Logf("driver %d (lacks %d of the functions of headers %d), %s, %v, capability %d, %d SMs, %d MiB, %d of %d MiB free",
		version, d.Lacking, Headers, name, id, capability(t, d), must[int](t)(d.DeviceAttribute(0, Multiprocessors)), total>>20, free>>20, all>>20)
	if version < 12000 || name == "" || id == (UUID{}) || total < 1<<30 || free <= 0 || free > all || all > total {
		t.Error("one of these cannot be")
	}
	if _, err := d.DeviceName(1 << 20); Code(err) != CodeInvalidDevice {
		t.Errorf("a device of nobody: %v", err)
	}
}

func TestMemoryAnswers(t *testing.T) {
	d := drivertest.Open(t)
	const bytes = 1<<20 + 3
	p := drivertest.Alloc(t, d, bytes)
	i := must[PointerInfo](t)(d.PointerInfo(p + 5))
	if i.Type != DeviceMemory || i.Device != 0 || i.Host != 0 || i.Managed || i.Start != p || i.Bytes < bytes || p%256 != 0 {
		t.Errorf("allocated memory at %#x: %+v", p, i)
	}
	h := must[Pinned](t)(d.HostAlloc(1 << 16))
	i = must[PointerInfo](t)(d.PointerInfo(h.Device))
	if i.Type != HostMemory || i.Host == 0 || i.Managed || len(h.Bytes) != 1<<16 {
		t.Errorf("pinned memory at %#x: %+v", h.Device, i)
	}
	ok(t, d.HostFree(h))
	if i, err := d.PointerInfo(0x10); err == nil && i.Type == DeviceMemory {
		t.Errorf("an address of nobody: %+v", i)
	}
	_, total, err := d.MemInfo()
	ok(t, err)
	if _, err := d.MemAlloc(2 * total); !IsOOM(err) || IsSticky(err) {
		t.Errorf("more than there is: %v", err)
	}
	ok(t, d.Synchronize())
}

func TestCopies(t *testing.T) {
	d := drivertest.Open(t)
	s := drivertest.Stream(t, d)
	const n = 1 << 16
	h, back := must[Pinned](t)(d.HostAlloc(n)), must[Pinned](t)(d.HostAlloc(n))
	defer func() { ok(t, d.HostFree(h), d.HostFree(back)) }()
	for i := range h.Bytes {
		h.Bytes[i] = byte(i * 7)
	}
	a, b := drivertest.Alloc(t, d, n), drivertest.Alloc(t, d, n)
	ok(t, d.CopyHtoDAsync(a, h.Bytes, s), d.CopyDtoDAsync(b, a, n, s), d.Memset8Async(b, 0xee, 16, s),
		d.Memset32Async(b+16, 0x01020304, 2, s), d.StreamSynchronize(s), d.CopyDtoH(back.Bytes, b))
	want := slices.Clone(h.Bytes)
	for i := range 16 {
		want[i] = 0xee
	}
	copy(want[16:], []byte{4, 3, 2, 1, 4, 3, 2, 1})
	if !slices.Equal(back.Bytes, want) {
		t.Error("in, across, set and out again is not the same")
	}
}

func TestLaunch(t *testing.T) {
	d := drivertest.Open(t)
	f := kernel(t, d, "sum")
	const n = 100_003
	a, b := ramp(n, 1), ramp(n, 0.5)
	p := sumParams{drivertest.Upload(t, d, a), drivertest.Upload(t, d, b), drivertest.Alloc(t, d, 4*n), n}
	ok(t, d.Launch(f, 0, Blocks(40, 256), Params(&p)))
	got := drivertest.Download[float32](t, d, p.c, n)
	for i := range got {
		if got[i] != a[i]+b[i] {
			t.Fatalf("c[%d] = %v, want %v", i, got[i], a[i]+b[i])
		}
	}
	registers := must[int](t)(d.FunctionAttribute(f, FunctionRegisters))
	blocks := must[int](t)(d.Occupancy(f, 256, 0))
	code := must[int](t)(d.FunctionAttribute(f, FunctionBinaryVersion))
	t.Logf("%d registers, %d blocks of 256 a multiprocessor, code for %d on %d", registers, blocks, code, capability(t, d))
	if registers < 1 || blocks < 1 || code > capability(t, d) {
		t.Error("one of these cannot be")
	}
	if err := d.Launch(f, 0, Blocks(1, 4096), Params(&p)); err == nil || IsSticky(err) {
		t.Errorf("a block of 4096 threads: %v", err)
	}
}

func TestSharedMemory(t *testing.T) {
	d := drivertest.Open(t)
	f := kernel(t, d, "reverse")
	most := must[int](t)(d.DeviceAttribute(0, SharedPerBlockOptIn))
	n := most / 4
	a := ramp(n, 1)
	p := sumParams{a: drivertest.Upload(t, d, a), c: drivertest.Alloc(t, d, int64(4*n)), n: uint64(n)}
	c := Blocks(1, 256)
	c.Shared = uint32(4 * n)
	if err := d.Launch(f, 0, c, Params(&p)); err == nil {
		t.Errorf("%d bytes of shared memory without asking", most)
	}
	ok(t, d.SetFunctionAttribute(f, FunctionMaxShared, most), d.Launch(f, 0, c, Params(&p)))
	got := drivertest.Download[float32](t, d, p.c, n)
	slices.Reverse(a)
	if !slices.Equal(got, a) {
		t.Errorf("%d bytes of shared memory do not hold", most)
	}
}

func TestCluster(t *testing.T) {
	d := drivertest.Open(t)
	if capability(t, d) < 90 {
		t.Skip("not run: needs compute capability 9.0")
	}
	p := clusterParams{drivertest.Alloc(t, d, 4*8)}
	c := Blocks(8, 32)
	c.Cluster = 4
	f := kernel(t, d, "cluster")
	if n := must[int](t)(d.Clusters(f, c)); n < 1 {
		t.Errorf("%d clusters at once", n)
	}
	ok(t, d.Launch(f, 0, c, Params(&p)))
	if got := drivertest.Download[uint32](t, d, p.out, 8); !slices.Equal(got, []uint32{0, 1, 2, 3, 0, 1, 2, 3}) {
		t.Errorf("ranks %d", got)
	}
}
