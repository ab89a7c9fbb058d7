package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"llorch/residency"
)

// changer tells whether the model's files are still those that were loaded.
type changer interface{ Changed() error }

// retryDegraded is how soon a degraded worker looks again, if the configured
// interval is longer.
const retryDegraded = 5 * time.Second

// verify claims all memory that the device computes from and has it observed.
// A worker whose model is not wholly in memory does not get ready.
func (w *worker) verify() error {
	for i, r := range w.engine.Regions() {
		class := r.Use.String()
		w.claims = append(w.claims, residency.Claim{Class: class, Name: fmt.Sprintf("%s region %d", class, i), Addr: r.Addr, Bytes: r.Bytes})
	}
	if w.cfg.MLock {
		w.lock()
	}
	report := w.observe()
	if err := report.Err(); err != nil {
		return fmt.Errorf("agent: residency: %w", err)
	}
	w.held = report.Held
	w.log.Info("resident", "held", report.Held)
	return nil
}

// lock pins the claims. Without the right to do so the worker runs all the
// same: residency is verified anyway, and the log says what to change.
func (w *worker) lock() {
	err := residency.Lock(w.claims)
	var e *residency.LockError
	switch {
	case errors.As(err, &e):
		w.log.Warn("mlock", "error", err, "need", e.Need, "limit", e.Limit, "note", "raise the memlock limit (ulimit -l, LimitMEMLOCK)")
	case err != nil:
		w.log.Warn("mlock", "error", err)
	default:
		w.log.Info("mlock", "claims", len(w.claims))
	}
}

// observe looks at every claim, and records the verdict where probes see it.
func (w *worker) observe() residency.Report {
	report := residency.Report{}
	pages, err := residency.OpenPages()
	if err != nil {
		w.log.Error("residency", "error", err)
	} else {
		report = residency.Verify(w.claims, residency.Observe(pages, w.claims))
		err = pages.Close()
	}
	if err != nil {
		w.log.Warn("residency", "error", err)
	}
	w.machine.SetResident(report.Resident)
	w.metrics.observed(report.Resident, report.Held)
	if err := w.metrics.explain(report.Held); err != nil {
		w.log.Warn("residency", "error", err)
	}
	return report
}

// watchResidency checks again and again until ctx ends.
func (w *worker) watchResidency(ctx context.Context) {
	if w.cfg.ResidencyInterval <= 0 {
		return
	}
	timer := time.NewTimer(w.cfg.ResidencyInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next := w.cfg.ResidencyInterval
		if !w.recheck() {
			next = min(next, retryDegraded)
		}
		timer.Reset(next)
	}
}

// recheck makes the worker degraded when memory is missing or the model's files
// have changed under the mapping, and ready again when all is well. Missing
// pages are asked for: a degraded worker takes no work, so nothing else would
// bring them back.
func (w *worker) recheck() bool {
	report := w.observe()
	lost := w.impairedBy(CauseResidency, report.Err())
	changed := w.source.Changed()
	if changed != nil {
		changed = fmt.Errorf("the model's files changed after loading; start a new worker: %w", changed)
	}
	if w.impairedBy(CauseFilesChanged, changed) || lost {
		w.log.Error("residency lost", "error", errors.Join(report.Err(), changed), "missing", report.Missing)
		fetch(report.Losses)
		return false
	}
	return true
}

// impairedBy records whether cause holds, which is what err says.
func (w *worker) impairedBy(cause Cause, err error) bool {
	if err == nil {
		w.machine.Heal(cause)
		return false
	}
	w.machine.Impair(cause, err.Error())
	return true
}

// move changes the state unless a stop or fault was faster.
func (w *worker) move(s State, cause string) {
	if err := w.machine.To(s, cause); err != nil {
		w.log.Warn("state", "error", err)
	}
}
