//go:build cuda

package driver_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "llorch/inference/backend/cuda/driver"
)

// inChild runs a test again in a process whose driver is testdata/fake, and tells
// whether this is that process.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv("LLORCH_IN_CHILD") == t.Name() {
		return true
	}
	library := filepath.Join(t.TempDir(), "libcuda.so.1")
	if out, err := exec.Command("cc", "-w", "-shared", "-fPIC", "-o", library, "testdata/fake/libcuda.c").CombinedOutput(); err != nil {
		t.Skipf("not run: cc: %v\n%s", err, out)
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "LLORCH_IN_CHILD="+t.Name(), "LLORCH_LIBCUDA="+library)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// The way of each kind of call, Go to C to driver and back, without a GPU.
func TestCallsReachTheDriver(t *testing.T) {
	if !inChild(t) {
		return
	}
	d := must[*CUDA](t)(Open())
	if d.Lacking < 500 {
		t.Errorf("the fake lacks only %d functions", d.Lacking)
	}
	if name := must[string](t)(d.DeviceName(0)); name != "NVIDIA Fake" {
		t.Errorf("name %q", name)
	}
	if id := must[UUID](t)(d.DeviceUUID(0)); id.String() != "GPU-11111111-1111-1111-1111-111111111111" {
		t.Errorf("uuid %v", id)
	}
	if _, err := d.DeviceBytes(1); Code(err) != CodeInvalidDevice || !strings.Contains(err.Error(), "cuDeviceTotalMem: a failure of the fake") {
		t.Errorf("a device of nobody: %v", err)
	}
	if _, err := d.MemAlloc(1 << 30); !IsOOM(err) || !strings.Contains(err.Error(), "cuMemAlloc: out of memory (CUDA_ERROR_OUT_OF_MEMORY, 2)") {
		t.Errorf("too much: %v", err)
	}
	if done, err := d.StreamDone(1); done || err != nil {
		t.Errorf("a busy stream: %v, %v", done, err)
	}
	if done, err := d.StreamDone(2); !done || err != nil {
		t.Errorf("an empty stream: %v, %v", done, err)
	}
	if _, err := d.GraphInstantiate(1); Code(err) != CodeNotFound {
		t.Errorf("a function that the driver lacks: %v", err)
	}
	if _, err := d.ModuleLoad("x"); Code(err) != CodeNotFound {
		t.Errorf("a function of gorgonia.org/cu that the driver lacks: %v", err)
	}
	out := must[Ptr](t)(d.MemAlloc(256))
	p := struct {
		out  Ptr
		a, b uint32
	}{out, 0xa, 0xb}
	c := LaunchConfig{Grid: [3]uint32{7, 2}, Block: [3]uint32{64}, Shared: 99, Programmatic: true, Cluster: 4}
	ok(t, d.Launch(1, 0, c, Params(&p)))
	var got [15]uint32
	ok(t, d.CopyDtoH(Bytes(got[:]), out), d.MemFree(out))
	// Shape; two attributes: 6 programmatic serialisation, 4 cluster; the parameters.
	if want := []uint32{7, 2, 1, 64, 1, 1, 99, 2, 6, 1, 4, 4, 16, 0xa, 0xb}; !slices.Equal(got[:], want) {
		t.Errorf("the launch arrived as\n%d, want\n%d", got, want)
	}
}
