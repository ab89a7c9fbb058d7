//go:build cuda

package nvml

import (
	"fmt"
	"math"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

type library struct{ l nvml.Interface }

var _ Reader = library{}

// Open loads libnvidia-ml.so.1. An error holds an *Error: CodeLibraryNotFound
// where there is none.
func Open() (Reader, error) {
	l := nvml.New()
	if r := l.Init(); r != nvml.SUCCESS {
		return nil, failed("nvmlInit", r)
	}
	return library{l}, nil
}

func failed(call string, r nvml.Return) error {
	switch r {
	case nvml.SUCCESS:
		return nil
	case nvml.ERROR_LIBRARY_NOT_FOUND: // there is nobody who could put it into words
		return &Error{Code: int(r), Text: "libnvidia-ml.so.1 was not found", Call: call}
	}
	return &Error{Code: int(r), Text: r.Error(), Call: call}
}

func (l library) Close() error { return failed("nvmlShutdown", l.l.Shutdown()) }

func (l library) Driver() (string, error) {
	v, r := l.l.SystemGetDriverVersion()
	return v, failed("nvmlSystemGetDriverVersion", r)
}

// Find also tries the spelling that NVML has for slices.
func (l library) Find(uuid, busID string) (Card, error) {
	names := []string{uuid}
	if len(uuid) > 4 && uuid[:4] == "GPU-" {
		names = append(names, "MIG-"+uuid[4:])
	}
	var last nvml.Return = nvml.ERROR_NOT_FOUND
	for _, name := range names {
		d, r := l.l.DeviceGetHandleByUUID(name)
		if r == nvml.SUCCESS {
			return card{d}, nil
		}
		if r != nvml.ERROR_NOT_FOUND && r != nvml.ERROR_INVALID_ARGUMENT {
			last = r
		}
	}
	if busID == "" {
		return nil, fmt.Errorf("%s: %w", uuid, failed("nvmlDeviceGetHandleByUUID", last))
	}
	d, r := l.l.DeviceGetHandleByPciBusId(busID)
	if r != nvml.SUCCESS {
		return nil, fmt.Errorf("%s: %w", busID, failed("nvmlDeviceGetHandleByPciBusId", r))
	}
	return card{d}, nil
}

type card struct{ d nvml.Device }

func (c card) Name() (string, error) {
	name, r := c.d.GetName()
	return name, failed("nvmlDeviceGetName", r)
}

// Memory asks the second version first: the first counts the driver's reserve
// as used.
func (c card) Memory() (Memory, error) {
	if m, r := c.d.GetMemoryInfo_v2(); r == nvml.SUCCESS {
		return Memory{Total: int64(m.Total), Used: int64(m.Used), Free: int64(m.Free), Reserved: int64(m.Reserved)}, nil
	}
	m, r := c.d.GetMemoryInfo()
	return Memory{Total: int64(m.Total), Used: int64(m.Used), Free: int64(m.Free)}, failed("nvmlDeviceGetMemoryInfo", r)
}

func (c card) ProcessBytes(pid int) (int64, error) {
	all, r := c.d.GetComputeRunningProcesses()
	if r != nvml.SUCCESS {
		return 0, failed("nvmlDeviceGetComputeRunningProcesses", r)
	}
	var bytes int64
	found := false
	for _, p := range all {
		if int(p.Pid) != pid {
			continue
		}
		if p.UsedGpuMemory == math.MaxUint64 { // NVML_VALUE_NOT_AVAILABLE
			return 0, failed("nvmlDeviceGetComputeRunningProcesses", nvml.ERROR_NOT_SUPPORTED)
		}
		found = true
		bytes += int64(p.UsedGpuMemory)
	}
	if !found {
		return 0, fmt.Errorf("process %d of %d listed: %w", pid, len(all), ErrNotListed)
	}
	return bytes, nil
}

func (c card) MIG() (MIG, error) {
	slice, r := c.d.IsMigDeviceHandle()
	if r != nvml.SUCCESS && r != nvml.ERROR_NOT_SUPPORTED && r != nvml.ERROR_FUNCTION_NOT_FOUND {
		return MIG{}, failed("nvmlDeviceIsMigDeviceHandle", r)
	}
	if slice {
		return MIG{Enabled: true, Slice: true}, nil
	}
	mode, _, r := c.d.GetMigMode()
	if r == nvml.ERROR_NOT_SUPPORTED || r == nvml.ERROR_FUNCTION_NOT_FOUND {
		return MIG{}, nil // a card that cannot be cut
	}
	return MIG{Enabled: mode == nvml.DEVICE_MIG_ENABLE}, failed("nvmlDeviceGetMigMode", r)
}

func (c card) Health() Health {
	h := Health{RemapCorrected: -1, RemapUncorrected: -1}
	h.Corrected = number(c.d.GetTotalEccErrors(nvml.MEMORY_ERROR_TYPE_CORRECTED, nvml.VOLATILE_ECC))
	h.Uncorrected = number(c.d.GetTotalEccErrors(nvml.MEMORY_ERROR_TYPE_UNCORRECTED, nvml.VOLATILE_ECC))
	if corrected, uncorrected, pending, failure, r := c.d.GetRemappedRows(); r == nvml.SUCCESS {
		h.RemapCorrected, h.RemapUncorrected, h.RemapPending, h.RemapFailed = int64(corrected), int64(uncorrected), pending, failure
	}
	h.Celsius = number(c.d.GetTemperature(nvml.TEMPERATURE_GPU))
	h.Milliwatts = number(c.d.GetPowerUsage())
	reasons, r := c.d.GetCurrentClocksEventReasons()
	if r != nvml.SUCCESS { // the name before driver 535
		reasons, r = c.d.GetCurrentClocksThrottleReasons()
	}
	if r == nvml.SUCCESS {
		h.Throttled = Throttles(reasons)
	}
	return h
}

// number is −1 where the card does not say.
func number[N uint32 | uint64](n N, r nvml.Return) int64 {
	if r != nvml.SUCCESS {
		return -1
	}
	return int64(n)
}
