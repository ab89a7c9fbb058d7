package faulty

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"llorch/inference/backend"
)

// kind is what happens at a step.
type kind string

const (
	hang  kind = "hang"
	slow  kind = "slow"
	broke kind = "error"
	lost  kind = "fault"
)

// Failure is one entry of a plan.
type Failure struct {
	kind kind
	step uint64
	took time.Duration // 0 of a hang: for ever
}

// Parse reads a plan. The empty one does nothing.
func Parse(plan string) ([]Failure, error) {
	if plan == "" {
		return nil, nil
	}
	var all []Failure
	for entry := range strings.SplitSeq(plan, ",") {
		f, err := parse(entry)
		if err != nil {
			return nil, fmt.Errorf("faulty: %q in FAULTY_DEVICE: %w; give KIND@STEP[:DURATION], as in hang@200:2s", entry, err)
		}
		all = append(all, f)
	}
	return all, nil
}

func parse(entry string) (f Failure, err error) {
	word, rest, _ := strings.Cut(entry, "@")
	at, took, timed := strings.Cut(rest, ":")
	f.kind = kind(word)
	if f.step, err = strconv.ParseUint(at, 10, 64); err != nil || f.step == 0 {
		return f, errors.New("the step is not a whole number from 1")
	}
	if timed {
		if f.took, err = time.ParseDuration(took); err != nil || f.took <= 0 {
			return f, errors.New("the duration is not above 0, with its unit")
		}
	}
	switch {
	case f.kind == hang, f.kind == slow && timed, (f.kind == broke || f.kind == lost) && !timed:
		return f, nil
	case f.kind == slow:
		return f, errors.New("slow needs a duration")
	case f.kind == broke || f.kind == lost:
		return f, fmt.Errorf("%s takes no duration", f.kind)
	}
	return f, errors.New("the kind is none of hang, slow, error and fault")
}

// Device fails as its plan says, and is the one it was made of otherwise.
type Device struct {
	backend.Device
	plan  []Failure
	steps uint64
	fault *backend.Fault
}

// New decorates d.
func New(d backend.Device, plan []Failure) *Device { return &Device{Device: d, plan: plan} }

// Sync ends a step of the device, and does to it what the plan says.
func (d *Device) Sync() error {
	err := d.Device.Sync()
	d.steps++
	for _, f := range d.plan {
		if d.steps != f.step && !(f.kind == slow && d.steps > f.step) {
			continue
		}
		if failed := d.happen(f); failed != nil {
			err = failed
		}
	}
	if d.fault != nil {
		return d.fault
	}
	return err
}

func (d *Device) happen(f Failure) error {
	switch f.kind {
	case hang:
		if f.took == 0 {
			select {}
		}
		time.Sleep(f.took)
	case slow:
		time.Sleep(f.took)
	case broke:
		return fmt.Errorf("faulty: step %d fails as planned", d.steps)
	case lost:
		d.fault = &backend.Fault{Class: "injected", Reason: fmt.Sprintf("the device is lost at step %d as planned", d.steps)}
	}
	return nil
}

// Info says that this device is not to be trusted.
func (d *Device) Info() backend.Info {
	i := d.Device.Info()
	i.Name += " (faulty on purpose)"
	return i
}

// Unwrap returns the real device, for callers that look for an optional ability.
func (d *Device) Unwrap() backend.Device {
	if u, ok := d.Device.(interface{ Unwrap() backend.Device }); ok {
		return u.Unwrap()
	}
	return d.Device
}
