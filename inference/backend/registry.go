package backend

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"llorch/inference/tensor"
)

// Options say which device to open and how.
type Options struct {
	Index   int    // of several devices of one kind
	Threads int    // host threads; 0 = one a physical core, within the cgroup's quota
	ISA     string // force an instruction set (tests, incidents); "" = the best there is
}

// ErrNoDevice is wrapped when a kind of device is not in this binary.
var ErrNoDevice = errors.New("backend: device not built into this binary")

var opens = map[string]func(Options) (Device, error){}

// Register adds a kind of device; a backend calls it from init.
func Register(kind string, open func(Options) (Device, error)) { opens[kind] = open }

var formats = map[string]func(Options, tensor.DType) bool{}

// RegisterFormats says what Computes of a device of that kind will answer, before
// one is opened: a memory plan is made without touching the device.
func RegisterFormats(kind string, computes func(Options, tensor.DType) bool) {
	formats[kind] = computes
}

// WillCompute tells whether a device that is opened so will multiply with weights
// of a format as they are. Without an answer registered, as Computes does.
func WillCompute(kind string, o Options, t tensor.DType) bool {
	if f, ok := formats[kind]; ok {
		return f(o, t)
	}
	return t == tensor.F32 || t == tensor.F16 || t == tensor.BF16
}

// Kinds lists the kinds of device in this binary.
func Kinds() []string {
	var kinds []string
	for k := range opens {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}

// Open opens a device, with shapes checked.
func Open(kind string, o Options) (Device, error) {
	open, ok := opens[kind]
	if !ok {
		return nil, fmt.Errorf("%w: %q; it has %s", ErrNoDevice, kind, strings.Join(Kinds(), ", "))
	}
	d, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("backend: open %s:%d: %w", kind, o.Index, err)
	}
	return Checked(d), nil
}
