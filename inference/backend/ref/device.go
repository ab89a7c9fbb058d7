package ref

import (
	"fmt"
	"runtime"
	"sync"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

func init() {
	backend.Register("ref", func(o backend.Options) (backend.Device, error) { return Open(o) })
	backend.RegisterFormats("ref", func(backend.Options, tensor.DType) bool { return true })
}

// Device computes in plain Go on the host.
type Device struct {
	memory
	workers []worker

	mu    sync.Mutex
	err   error          // the first failure since the last Sync
	fault *backend.Fault // latched
}

var _ backend.Device = (*Device)(nil)

// Open returns a device that computes on o.Threads goroutines at a time, or as
// many as Go may run at once (which follows the cgroup's quota). There is one
// such device and no choice of instruction set.
func Open(o backend.Options) (*Device, error) {
	switch {
	case o.Index != 0:
		return nil, fmt.Errorf("ref: device %d: there is only device 0", o.Index)
	case o.ISA != "":
		return nil, fmt.Errorf("ref: instruction set %q: plain Go has none to choose", o.ISA)
	case o.Threads < 0:
		return nil, fmt.Errorf("ref: %d threads: want 1 or more, or 0 to choose", o.Threads)
	}
	n := o.Threads
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return &Device{workers: make([]worker, n)}, nil
}

// Info describes the device.
func (d *Device) Info() backend.Info {
	return backend.Info{
		Kind: "ref", Name: "plain Go on " + runtime.GOARCH,
		Threads: len(d.workers), Architecture: "ram",
	}
}

// Sync returns the latched fault, or else the first failure since the last Sync.
func (d *Device) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault != nil {
		return d.fault
	}
	err := d.err
	d.err = nil
	return err
}

// fail keeps the first failure.
func (d *Device) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
}

// latch keeps the first fault for good.
func (d *Device) latch(class, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault == nil {
		d.fault = &backend.Fault{Class: class, Reason: reason}
	}
}

// Computes: every format, by its definition.
func (d *Device) Computes(tensor.DType) bool { return true }

func (d *Device) faulted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fault != nil
}
