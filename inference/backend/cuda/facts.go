package cuda

import (
	"errors"
	"fmt"
	"strings"

	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/nvml"
)

// Facts are what was observed of a host before a device is opened. Check judges
// them; observing is behind the tag.
type Facts struct {
	Build     Build
	DriverErr error // of driver.Open; the rest of the driver's answers is missing then
	Version   int   // of the newest CUDA that the driver serves: 1000·major + 10·minor
	Devices   []DeviceFacts
	Visible   string // CUDA_VISIBLE_DEVICES; meaningful if VisibleSet
	// VisibleSet tells whether that variable is there: empty, it hides all devices.
	VisibleSet bool
	NVMLErr    error // of opening the management library
}

// DeviceFacts are what was observed of one device.
type DeviceFacts struct {
	Name        string
	UUID        driver.UUID
	Capability  int   // 10·major + minor
	Shared      int   // bytes of shared memory that a block can have, 0 unknown
	Total, Free int64 // bytes; Free by NVML, −1 unknown
	ComputeMode int   // 0 default, 2 prohibited, 3 one process at a time
	MIG         nvml.MIG
	CardErr     error // of asking NVML about it
	Health      nvml.Health
}

// ringShared is the shared memory of a block of compute capability 9.0, of which kernels for that and newer
// ones have their rings. Newer GPUs that are not for data centers have less.
const ringShared = 227 << 10

// minDriver names the driver that brought each major release of CUDA.
var minDriver = map[int]string{12: "525", 13: "580"}

// Check tells why device index cannot be opened, in a sentence that says what to
// do; nil if it can. What is wrong with the host comes first.
func (f Facts) Check(index int) error {
	for _, check := range []func() error{
		f.checkDriver,
		f.checkVersion,
		func() error { return f.checkIndex(index) },
		func() error { return f.Devices[index].checkCode(f.Build) },
		func() error { return f.Devices[index].checkUse(index) },
		func() error { return f.checkNVML(index) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (f Facts) checkDriver() error {
	err := f.DriverErr
	if err == nil {
		return nil
	}
	if errors.Is(err, driver.ErrNoDriver) {
		return fmt.Errorf("%w: install the NVIDIA driver %s or newer; in a container, start it with the host's GPUs (--gpus all, or a device plugin)",
			err, minDriver[f.Build.Major])
	}
	advice := "run nvidia-smi and look for NVRM and Xid in the kernel log"
	switch driver.Code(err) {
	case driver.CodeNoDevice:
		advice = "there is a driver and no GPU that it can use: run nvidia-smi -L; with MIG enabled a GPU needs a slice, in a container the device files"
		if f.VisibleSet {
			advice = fmt.Sprintf("CUDA_VISIBLE_DEVICES=%q lets this process see no GPU: unset it, or name devices that nvidia-smi -L lists", f.Visible)
		}
	case driver.CodeInvalidDevice:
		advice = "a GPU is in a state the driver cannot use: reset it with nvidia-smi -r, or reboot"
	case driver.CodeSystemNotReady:
		advice = "on a host with NVSwitch, start nvidia-fabricmanager of the driver's version"
	case driver.CodeMismatch:
		advice = "the driver was updated while its old kernel module runs: reboot"
	case driver.CodeCompatHardware:
		advice = "CUDA's compatibility libraries do not serve this GPU: take them out of LD_LIBRARY_PATH and update the driver"
	case driver.CodeUnknown:
		advice = "often /dev/nvidia-uvm is missing: load the module nvidia-uvm, or run nvidia-modprobe -u; else look for Xid in the kernel log"
	}
	return fmt.Errorf("the NVIDIA driver does not start: %w: %s", err, advice)
}

// checkVersion compares major releases: within one, newer code runs on older drivers.
func (f Facts) checkVersion() error {
	if f.Version/1000 >= f.Build.Major {
		return nil
	}
	return fmt.Errorf("the NVIDIA driver serves CUDA %d.%d and this program is built with %d.%d: update the driver to %s or newer, or build the program with CUDA %d",
		f.Version/1000, f.Version%1000/10, f.Build.Major, f.Build.Minor, minDriver[f.Build.Major], f.Version/1000)
}

func (f Facts) checkIndex(index int) error {
	n := len(f.Devices)
	if index >= 0 && index < n {
		return nil
	}
	why := "nvidia-smi -L lists those of the host"
	if f.VisibleSet {
		why = fmt.Sprintf("CUDA_VISIBLE_DEVICES=%q chooses them, and indices count within it", f.Visible)
	}
	if n == 0 {
		return fmt.Errorf("there is no CUDA device: %s", why)
	}
	return fmt.Errorf("there is no device cuda:%d: give %s; %s", index, span(n), why)
}

func span(n int) string {
	if n == 1 {
		return "cuda:0, the only one"
	}
	return fmt.Sprintf("cuda:0 to cuda:%d", n-1)
}

func (d DeviceFacts) checkCode(b Build) error {
	if t, ok := b.For(d.Capability); ok {
		if t.Capability >= 90 && d.Shared > 0 && d.Shared < ringShared {
			return fmt.Errorf("%s gives a block %d KiB of shared memory, and the kernels for it, %v, want %d: use a GPU for data centers, or one of compute capability 8.0 to 8.9",
				d.Name, d.Shared>>10, t, ringShared>>10)
		}
		return nil
	}
	if d.Capability < b.Oldest() && d.Capability < 80 {
		return fmt.Errorf("%s has compute capability %d.%d and 8.0 is the least that is supported: use a GPU of the Ampere generation or newer",
			d.Name, d.Capability/10, d.Capability%10)
	}
	return fmt.Errorf("this program has no code for %s, compute capability %d.%d; it has code for %s: build it without CUDA_ARCHS, or with CUDA_ARCHS=%d",
		d.Name, d.Capability/10, d.Capability%10, b, d.Capability)
}

func (d DeviceFacts) checkUse(index int) error {
	switch {
	case d.ComputeMode == 2:
		return fmt.Errorf("%s is closed to computation: nvidia-smi -i %v -c DEFAULT opens it", d.Name, d.UUID)
	case d.MIG.Enabled || strings.Contains(d.Name, " MIG "): // of such a GPU CUDA shows slices only
		return fmt.Errorf("cuda:%d is a MIG slice (%s), whose memory cannot be accounted for by process: give the worker a whole GPU (nvidia-smi -mig 0 takes the slices away)", index, d.Name)
	}
	return nil
}

func (f Facts) checkNVML(index int) error {
	err := f.NVMLErr
	if err == nil {
		err = f.Devices[index].CardErr
	}
	if err == nil {
		return nil
	}
	if advice := nvml.Advice(err); advice != "" {
		return fmt.Errorf("the memory of cuda:%d cannot be observed, so residency cannot be proved: %w: %s", index, err, advice)
	}
	return fmt.Errorf("the memory of cuda:%d cannot be observed, so residency cannot be proved: %w", index, err)
}
