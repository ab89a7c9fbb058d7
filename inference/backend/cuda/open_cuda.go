//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"runtime"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

func init() {
	backend.Register("cuda", open)
	backend.RegisterExamine("cuda", examine)
}

func examine(index int) []backend.Finding {
	h, err := observeHost()
	if err != nil {
		return []backend.Finding{{Subject: "cuda driver", Grade: backend.Bad, Text: err.Error()}}
	}
	return h.Findings(index)
}

// open opens a device. The goroutine that calls it is the one that uses it.
func open(o backend.Options) (backend.Device, error) {
	c, err := openContext(o.Index)
	if err != nil {
		return nil, err
	}
	return newDevice(c.d, opened{index: c.index, facts: c.facts, kernels: c.kernels, closing: c.close})
}

// context is a device that is opened: its primary context, current on the OS
// thread that opened it, with the kernels loaded and seen to run.
type context struct {
	d       driver.Driver
	index   int
	facts   DeviceFacts
	kernels *Kernels
}

// openContext locks the calling goroutine to its OS thread until close.
func openContext(index int) (*context, error) {
	facts, d, err := observe()
	if err != nil {
		return nil, err
	}
	if err := facts.Check(index); err != nil {
		return nil, err
	}
	embedded, err := images()
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	primary, err := d.RetainPrimary(index, driver.Spin)
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("cuda:%d: no context: %w", index, err)
	}
	c := &context{d: d, index: index, facts: facts.Devices[index]}
	if err = d.SetCurrent(primary); err == nil {
		c.kernels, err = LoadKernels(d, embedded)
	}
	if err == nil {
		err = Probe(d, c.kernels, facts.Build, c.facts)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// close gives everything back, on the thread that opened it.
func (c *context) close() error {
	var err error
	if c.kernels != nil {
		err = c.kernels.Close()
	}
	err = errors.Join(err, c.d.SetCurrent(0), c.d.ReleasePrimary(c.index))
	runtime.UnlockOSThread()
	return err
}
