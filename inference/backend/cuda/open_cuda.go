//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"runtime"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/nvml"
	"llorch/inference/tensor"
)

func init() {
	backend.Register("cuda", open)
	backend.RegisterExamine("cuda", examine)
	backend.RegisterFormats("cuda", func(backend.Options, tensor.DType) bool { return true }) // as Computes
	backend.RegisterRoom("cuda", room, backend.Need{Takes: takes, Beside: beside})
}

// room asks what is free on a device, without a context on it.
func room(o backend.Options) (backend.Room, error) {
	facts, _, err := observe()
	if err != nil {
		return backend.Room{}, err
	}
	if err := facts.Check(o.Index); err != nil {
		return backend.Room{}, err
	}
	return facts.Devices[o.Index].room(), nil
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
	drv, err := withFaults(c.d)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return newDevice(drv, opened{index: c.index, facts: c.facts, kernels: c.kernels, card: c.card, closing: c.close})
}

// context is a device that is opened: its primary context, current on the OS
// thread that opened it, with the kernels loaded and seen to run.
type context struct {
	d       driver.Driver
	index   int
	facts   DeviceFacts
	kernels *Kernels
	cards   nvml.Reader // nil before it is opened
	card    nvml.Card
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
		err = c.openCard()
	}
	if err == nil {
		err = Probe(d, c.kernels, facts.Build, c.facts)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// openCard opens the management library for as long as the device is used. Facts
// have said that it can be.
func (c *context) openCard() (err error) {
	if c.cards, err = nvml.Open(); err != nil {
		return err
	}
	c.card, err = c.cards.Find(c.facts.UUID.String(), busID(c.d, c.index))
	return err
}

// close gives everything back, on the thread that opened it.
func (c *context) close() error {
	var err error
	if c.kernels != nil {
		err = c.kernels.Close()
	}
	if c.cards != nil {
		err = errors.Join(err, c.cards.Close())
	}
	err = errors.Join(err, c.d.SetCurrent(0), c.d.ReleasePrimary(c.index))
	runtime.UnlockOSThread()
	return err
}
