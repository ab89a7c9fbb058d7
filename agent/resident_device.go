package agent

import (
	"context"
	"fmt"
	"time"

	"llorch/inference"
	"llorch/residency"
)

// deviceMemory is a device with memory of its own, of which its driver tells.
type deviceMemory interface {
	Observe(ctx context.Context) (inference.Observation, error)
}

// observePatience bounds how long a check waits for the step under way: a device
// that hangs is the step counter's finding, and must not stop the clock of checks.
const observePatience = 30 * time.Second

// againAfter is when an observation that did not add up is made once more: the
// device's account and its management library are read one after the other, and a
// step may allocate in between.
const againAfter = 200 * time.Millisecond

// verifyDevice is verify for a device with memory of its own.
func (w *worker) verifyDevice() error {
	w.device = w.engine
	if w.cfg.MLock {
		w.log.Info("mlock", "note", "the model is in the memory of the device, which is never paged out")
	}
	report := w.observe(w.stopping)
	if err := report.Err(); err != nil {
		return fmt.Errorf("agent: residency: %w", err)
	}
	w.log.Info("resident", "held", report.Held, "process", report.Process)
	return nil
}

// observeDevice has the driver place the device's memory, judges what it says, and
// records the verdict where probes see it.
func (w *worker) observeDevice(ctx context.Context) residency.Report {
	report, err := w.judgeDevice(ctx)
	if err == nil && !report.Resident {
		select {
		case <-time.After(againAfter):
			report, err = w.judgeDevice(ctx)
		case <-ctx.Done():
		}
	}
	if err != nil {
		if ctx.Err() != nil { // a stop, which finds nothing out about memory
			return w.machine.Residency()
		}
		report = residency.Report{Doubt: err}
		w.log.Error("residency", "error", err)
	}
	w.machine.SetResidency(report)
	w.metrics.observed(report.Resident, report.Held)
	w.metrics.process(report.Process)
	if err := w.metrics.explain(nil); err != nil {
		w.log.Warn("residency", "error", err)
	}
	return report
}

func (w *worker) judgeDevice(ctx context.Context) (residency.Report, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, observePatience, fmt.Errorf("the device did not come to the end of a step within %v", observePatience))
	defer cancel()
	o, err := w.device.Observe(ctx)
	if err != nil {
		return residency.Report{}, err
	}
	w.metrics.card.observed(o.Card)
	return residency.VerifyDevice(observed(o)), nil
}

// observed translates an observation for package residency, which knows no devices.
func observed(o inference.Observation) residency.Device {
	d := residency.Device{
		Index: o.Index, Context: o.Context, Graphs: o.Graphs, Page: o.Page,
		Process: o.Process, ProcessErr: o.Occupancy.Err, Uncorrected: o.Uncorrected,
	}
	for i, p := range o.Placed {
		class := p.Use.String()
		d.Claims = append(d.Claims, residency.Claim{Class: class, Name: fmt.Sprintf("%s region %d", class, i), Addr: p.Addr, Bytes: p.Bytes})
		d.Places = append(d.Places, residency.Place{
			Device: p.Place.Device, Index: p.Place.Index, Managed: p.Place.Managed, Host: p.Place.Host,
			Start: p.Place.Start, Bytes: p.Place.Bytes, Err: p.Err,
		})
	}
	return d
}
