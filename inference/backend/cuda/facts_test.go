package cuda

import (
	"fmt"
	"strings"
	"testing"

	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/nvml"
)

func testBuild(t *testing.T, text string) Build {
	t.Helper()
	b, err := ParseBuild(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCheck changes one thing about a good host at a time: each must be refused in
// a sentence that names what is wrong and what to do.
func TestCheck(t *testing.T) {
	host := func() Facts {
		card := DeviceFacts{Name: "NVIDIA H200", Capability: 90, Total: 140 << 30, Free: 139 << 30}
		return Facts{Build: testBuild(t, "13.0 80 86 89 90a ptx90"), Version: 13000, Devices: []DeviceFacts{card, card}}
	}
	for _, c := range []struct {
		name  string
		index int
		edit  func(*Facts)
		want  []string // nil: fine
	}{
		{"good", 0, func(*Facts) {}, nil},
		{"the last", 1, func(*Facts) {}, nil},
		{"a newer driver", 0, func(f *Facts) { f.Version = 14020 }, nil},
		{"a driver of the same major release", 0, func(f *Facts) { f.Build.Minor = 2 }, nil},
		{"a newer GPU, by PTX", 0, func(f *Facts) { f.Devices[0].Capability = 120 }, nil},
		{"CUDA_VISIBLE_DEVICES with a good index", 0, func(f *Facts) { f.VisibleSet, f.Visible = true, "3,5" }, nil},
		{"exclusive process", 0, func(f *Facts) { f.Devices[0].ComputeMode = 3 }, nil},

		{"negative", -1, func(*Facts) {}, []string{"no device cuda:-1", "cuda:0 to cuda:1"}},
		{"too many", 2, func(*Facts) {}, []string{"no device cuda:2", "cuda:0 to cuda:1", "nvidia-smi -L"}},
		{"one device", 1, func(f *Facts) { f.Devices = f.Devices[:1] }, []string{"cuda:0, the only one"}},
		{"hidden", 2, func(f *Facts) { f.VisibleSet, f.Visible = true, "3,5" }, []string{`CUDA_VISIBLE_DEVICES="3,5"`, "count within"}},
		{"all hidden", 0, func(f *Facts) {
			f.DriverErr, f.VisibleSet = driver.NewError("cuInit", driver.CodeNoDevice), true
		}, []string{`CUDA_VISIBLE_DEVICES=""`, "unset it"}},
		{"no device", 0, func(f *Facts) { f.Devices = nil }, []string{"no CUDA device"}},
		{"no GPU", 0, func(f *Facts) { f.DriverErr = driver.NewError("cuInit", driver.CodeNoDevice) }, []string{"NO_DEVICE", "nvidia-smi -L"}},
		{"no driver", 0, func(f *Facts) {
			f.DriverErr = fmt.Errorf("%w: libcuda.so.1: no such file", driver.ErrNoDriver)
		}, []string{"no NVIDIA driver", "580 or newer", "--gpus all"}},
		{"half updated", 0, func(f *Facts) { f.DriverErr = driver.NewError("cuInit", driver.CodeMismatch) }, []string{"reboot"}},
		{"no fabric", 0, func(f *Facts) { f.DriverErr = driver.NewError("cuInit", driver.CodeSystemNotReady) }, []string{"fabricmanager"}},
		{"no uvm", 0, func(f *Facts) { f.DriverErr = driver.NewError("cuInit", driver.CodeUnknown) }, []string{"nvidia-uvm"}},
		{"some other failure", 0, func(f *Facts) { f.DriverErr = driver.NewError("cuInit", 46) }, []string{"46", "nvidia-smi"}},
		{"old driver", 0, func(f *Facts) { f.Version = 12040 }, []string{"CUDA 12.4", "13.0", "580 or newer"}},

		{"GPU too old", 0, func(f *Facts) { f.Devices[0].Name, f.Devices[0].Capability = "Tesla T4", 75 }, []string{"Tesla T4", "7.5", "Ampere"}},
		{"no code", 0, func(f *Facts) {
			f.Build, f.Devices[0].Capability = testBuild(t, "13.0 90a"), 80
		}, []string{"no code", "8.0", "it has code for 9.0a", "CUDA_ARCHS=80"}},
		{"too little shared memory", 0, func(f *Facts) {
			f.Build, f.Devices[0].Name, f.Devices[0].Capability, f.Devices[0].Shared = testBuild(t, "13.0 80 90a ptx90"), "GeForce", 120, 99<<10
		}, []string{"GeForce", "99 KiB", "9.0 and newer, as PTX", "want 227", "data centers"}},
		{"closed", 0, func(f *Facts) { f.Devices[0].ComputeMode = 2 }, []string{"closed", "-c DEFAULT"}},
		{"slice by NVML", 0, func(f *Facts) { f.Devices[0].MIG = nvml.MIG{Enabled: true, Slice: true} }, []string{"MIG slice", "whole GPU"}},
		{"slice by name", 0, func(f *Facts) { f.Devices[0].Name = "NVIDIA H200 MIG 1g.18gb" }, []string{"MIG slice", "1g.18gb"}},
		{"no NVML", 0, func(f *Facts) {
			f.NVMLErr = &nvml.Error{Code: nvml.CodeLibraryNotFound, Text: "not found", Call: "nvmlInit"}
		}, []string{"cannot be observed", "NVIDIA_DRIVER_CAPABILITIES"}},
		{"NVML without permission", 0, func(f *Facts) {
			f.Devices[0].CardErr = &nvml.Error{Code: nvml.CodeNoPermission, Text: "insufficient permissions", Call: "nvmlDeviceGetHandleByUUID"}
		}, []string{"insufficient permissions", "/dev/nvidiactl"}},
		{"NVML in trouble", 0, func(f *Facts) { f.NVMLErr = &nvml.Error{Code: 999, Text: "unknown", Call: "nvmlInit"} }, []string{"cannot be observed", "999"}},
		{"the other card is in trouble", 1, func(f *Facts) { f.Devices[0].ComputeMode = 2 }, nil},
	} {
		f := host()
		c.edit(&f)
		err := f.Check(c.index)
		if (err != nil) != (c.want != nil) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", c.name, err, w)
			}
		}
	}
}

func TestBuild(t *testing.T) {
	full := testBuild(t, "13.0 80 86 89 90a ptx90\n")
	for _, c := range []struct {
		build      Build
		capability int
		want       string // "": no code
	}{
		{full, 75, ""},
		{full, 80, "8.0"},
		{full, 86, "8.6"},
		{full, 87, "8.6"},
		{full, 89, "8.9"},
		{full, 90, "9.0a"},
		{full, 100, "9.0 and newer, as PTX"},
		{full, 120, "9.0 and newer, as PTX"},
		{testBuild(t, "12.8 90a"), 100, ""},
		{testBuild(t, "12.8 90a"), 90, "9.0a"},
		{testBuild(t, "12.8 90 ptx80"), 89, "8.0 and newer, as PTX"},
		{testBuild(t, "12.8 90 ptx80"), 90, "9.0"},
	} {
		got, ok := c.build.For(c.capability)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%v on %d: %v %v, want %q", c.build, c.capability, got, ok, c.want)
		}
	}
	if got, want := full.String(), "8.0, 8.6, 8.9, 9.0a, 9.0 and newer, as PTX"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, bad := range []string{"", "13.0", "thirteen 80", "13.0 x", "13.0 ptx", "13.0 8"} {
		if _, err := ParseBuild(bad); err == nil {
			t.Errorf("%q is read as a build", bad)
		}
	}
}
