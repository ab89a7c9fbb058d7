// Package nvml reads what the management library of the driver knows of a GPU and
// its processes: the evidence of residency that does not come from the process
// itself, and the health of the card.
//
// What is here is the interface and what to make of the readings; the readings
// come through github.com/NVIDIA/go-nvml, behind the tag cuda, whose library is
// opened at run time.
package nvml

import (
	"errors"
	"fmt"
	"strings"
)

// Reader finds cards. It is safe for use by many goroutines.
type Reader interface {
	Driver() (string, error) // version of the driver, 580.65.06
	// Find looks for the card with the UUID that CUDA reports (GPU-…), else the
	// one on the bus. For a MIG slice it finds the slice.
	Find(uuid, busID string) (Card, error)
	Close() error
}

// Card is a GPU, or a MIG slice of one.
type Card interface {
	Name() (string, error)
	Memory() (Memory, error)
	// ProcessBytes is the device memory of a process on this card, ErrNotListed
	// where the library does not tell of that process.
	ProcessBytes(pid int) (int64, error)
	Health() Health
	MIG() (MIG, error)
}

// Memory of a card in bytes. Free is what a process may still take; Reserved, for
// the driver and firmware, is in none of the others.
type Memory struct{ Total, Used, Free, Reserved int64 }

// MIG tells whether a card is cut into slices.
type MIG struct {
	Enabled bool // the GPU can only be used by its slices
	Slice   bool // this is one
}

// Health is what a card measures of itself; −1, or nil, where it does not say
// (many cards have no ECC, slices no power).
type Health struct {
	Corrected, Uncorrected           int64 // ECC errors since the driver was loaded
	RemapCorrected, RemapUncorrected int64 // rows replaced for errors that were corrected, and that were not
	RemapPending, RemapFailed        bool  // a replacement waits for a reset; one could not be made
	Celsius, Milliwatts              int64
	Throttled                        []string // why clocks are low now, Throttles in words
}

// Error is a failed call of the library.
type Error struct {
	Code int // nvmlReturn_t
	Text string
	Call string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s (%d)", e.Call, e.Text, e.Code) }

// Codes that decide something (nvmlReturn_t).
const (
	CodeNotSupported    = 3
	CodeNoPermission    = 4
	CodeNotFound        = 6
	CodeDriverNotLoaded = 9
	CodeLibraryNotFound = 12
	CodeGPUIsLost       = 15
	CodeVersionMismatch = 18
)

// Code is the nvmlReturn_t that err holds, 0 if none.
func Code(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// ErrNotListed is returned where a process has no entry among those of a card: it
// holds no memory there, or the library is not shown it, as in a container with
// process ids of its own.
var ErrNotListed = errors.New("nvml: the process is not among those of the card")

// Advice is what to do about an error of this package, a sentence, or "".
func Advice(err error) string {
	if errors.Is(err, ErrNotListed) {
		return "in a container, run it with the host's process ids (--pid=host, hostPID: true), else the memory of this process cannot be told from others'"
	}
	switch Code(err) {
	case CodeLibraryNotFound:
		return "install the driver's libnvidia-ml.so.1; in a container, set NVIDIA_DRIVER_CAPABILITIES=compute,utility"
	case CodeNoPermission:
		return "give the worker's user access to /dev/nvidiactl and the device files of the GPU; a MIG slice also needs the capability files of /dev/nvidia-caps"
	case CodeDriverNotLoaded:
		return "load the driver's kernel module: modprobe nvidia, or reboot after installing it"
	case CodeVersionMismatch:
		return "the driver was updated while its old kernel module runs: reboot"
	case CodeGPUIsLost:
		return "the GPU fell off the bus: look for Xid in the kernel log, then reset or power-cycle the host"
	case CodeNotFound:
		return "the driver's library does not know the device that CUDA shows: look at nvidia-smi -L"
	}
	return ""
}

// throttles name the bits of nvmlClocksEventReasons that slow a card down; idle
// clocks and clocks that somebody set are no fault of it.
var throttles = []struct {
	bit  uint64
	name string
}{
	{1 << 2, "power cap"}, {1 << 3, "hardware slowdown"}, {1 << 5, "temperature, by software"},
	{1 << 6, "temperature, by hardware"}, {1 << 7, "power brake"}, {1 << 9, "board limit"}, {1 << 10, "reliability"},
}

// Throttles puts clock event reasons into words, nil if nothing holds the card back.
func Throttles(reasons uint64) []string {
	var words []string
	for _, t := range throttles {
		if reasons&t.bit != 0 {
			words = append(words, t.name)
		}
	}
	return words
}

// Troubles tells what of a card's health is worth a warning, a sentence each.
func (h Health) Troubles() []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if h.Uncorrected > 0 {
		say("%d memory errors that ECC could not correct since the driver was loaded: reset the GPU when it is free", h.Uncorrected)
	}
	if h.RemapFailed {
		say("a row of memory could not be replaced: replace the card")
	}
	if h.RemapPending {
		say("the replacement of a row of memory waits for a reset of the GPU")
	}
	if len(h.Throttled) > 0 {
		say("clocks are held back by: %s", strings.Join(h.Throttled, ", "))
	}
	return all
}
