package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxDeviceIndex is far above any host's count of devices; it only keeps a typing error from passing as an index.
const maxDeviceIndex = 1023

// Device is the one device a worker computes on.
type Device struct {
	Kind  string // cpu, cuda, metal; gpu: any but cpu; empty: not said
	Index int    // counted from 0 within the kind
}

// String is the form used on the wire and in logs, cpu:0. A kind that was not said prints as auto.
func (d Device) String() string {
	kind := d.Kind
	if kind == "" {
		kind = "auto"
	}
	return kind + ":" + strconv.Itoa(d.Index)
}

// MarshalText is String.
func (d Device) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// ParseDevice reads the spellings that managers use: 0, cpu, cpu:0, cuda, cuda:1, metal, metal:0, GPU-1, CPU-0, in
// either case. An index alone leaves the kind open, GPU-1 leaves it to be any but cpu.
func ParseDevice(s string) (Device, error) {
	bad := func() (Device, error) {
		return Device{}, fmt.Errorf("%w: %q is not a device: give an index, cpu, cuda:N, metal:N, GPU-N or CPU-N", ErrUsage, s)
	}
	kind, index := strings.ToLower(s), "0"
	if negative(s) {
		return Device{}, belowZero(s)
	}
	if before, after, ok := strings.Cut(kind, ":"); ok {
		kind, index = before, after
		if kind != "cpu" && kind != "cuda" && kind != "metal" {
			return bad()
		}
	} else if before, after, ok := strings.Cut(kind, "-"); ok {
		kind, index = before, after
		if kind != "cpu" && kind != "gpu" {
			return bad()
		}
	} else if kind != "cpu" && kind != "cuda" && kind != "metal" {
		kind, index = "", s
	}
	n, err := parseIndex(index)
	switch {
	case errors.Is(err, ErrNegative):
		return Device{}, belowZero(s)
	case err != nil:
		return bad()
	}
	return Device{Kind: kind, Index: n}, nil
}

// ErrNegative marks a device index below zero: a manager counts on status 1 for it, as for one that is too large.
var ErrNegative = errors.New("device indices count from 0")

// negative tells whether s is a number below zero.
func negative(s string) bool {
	digits, ok := strings.CutPrefix(s, "-")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

func belowZero(s string) error {
	return fmt.Errorf("%q: %w: give 0 for the first device; doctor lists those of this host", s, ErrNegative)
}

// parseIndex takes digits only: strconv would also take "+1".
func parseIndex(s string) (int, error) {
	if negative(s) {
		return 0, belowZero(s)
	}
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, fmt.Errorf("%w: %q is not a device index: give 0 to %d", ErrUsage, s, maxDeviceIndex)
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > maxDeviceIndex {
		return 0, fmt.Errorf("%w: device index %s is too large: give 0 to %d", ErrUsage, s, maxDeviceIndex)
	}
	return n, nil
}

// Resolve binds the device to the kinds this binary was built for, the preferred one first. A kind that is not built
// is an error and never becomes another one.
func (d Device) Resolve(built ...string) (Device, error) {
	for _, kind := range built {
		if d.Kind == "" || d.Kind == kind || d.Kind == "gpu" && kind != "cpu" {
			return Device{Kind: kind, Index: d.Index}, nil
		}
	}
	return Device{}, fmt.Errorf("config: device %v was asked for, this program is built for %s only", d, strings.Join(built, ", "))
}

// narrow joins what two flags say about one device; ok is false when they contradict each other.
func (d Device) narrow(kind string) (Device, bool) {
	switch {
	case kind == "" || kind == d.Kind:
	case d.Kind == "":
		d.Kind = kind
	case d.Kind == "gpu" && slices.Contains([]string{"cuda", "metal"}, kind):
		d.Kind = kind
	default:
		return d, false
	}
	return d, true
}

// backendKind is the kind of device a backend computes on; the reference backend is plain Go on the CPU.
func backendKind(backend string) string {
	if backend == "ref" {
		return "cpu"
	}
	return backend
}

// resolveDevice joins the device settings after the sources are merged: what --device (with --cuda-device and
// --metal-device folded in) says, the bare index of --gpu, and the kind implied by --backend. note tells of a --gpu
// without effect.
func resolveDevice(device, gpu, backend string) (d Device, note string, err error) {
	if device != "" {
		if d, err = ParseDevice(device); err != nil {
			return d, "", fmt.Errorf("config: device: %w", err)
		}
	}
	d, ok := d.narrow(backendKind(backend))
	if !ok {
		return d, "", fmt.Errorf("config: %w: device %s contradicts backend %s: give one of them", ErrUsage, device, backend)
	}
	if gpu == "" {
		return d, "", nil
	}
	n, err := parseIndex(gpu)
	switch {
	case err != nil:
		return d, "", fmt.Errorf("config: gpu: %w", err)
	case d.Kind == "cpu":
		return d, "gpu " + gpu + " has no effect: the worker computes on the CPU", nil
	case device != "" && n != d.Index:
		return d, "", fmt.Errorf("config: %w: gpu %d contradicts device %s: give one of them", ErrUsage, n, device)
	}
	d.Index = n
	return d, "", nil
}
