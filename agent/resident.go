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

// verify claims all memory that the device computes from and has it observed.
// A worker whose model is not wholly in memory does not get ready.
func (w *worker) verify() error {
	if w.engine.OwnMemory() {
		return w.verifyDevice()
	}
	for i, r := range w.engine.Regions() {
		class := r.Use.String()
		w.claims = append(w.claims, residency.Claim{Class: class, Name: fmt.Sprintf("%s region %d", class, i), Addr: r.Addr, Bytes: r.Bytes})
	}
	if w.cfg.MLock {
		w.lock()
	}
	report := w.observe(w.stopping)
	if len(report.Losses) > 0 { // taken while the rest was loaded
		report = w.restore(w.stopping, report, "start", restoreGrace)
	}
	if err := report.Err(); err != nil {
		return fmt.Errorf("agent: residency: %w", err)
	}
	w.machine.Heal(CauseResidency) // if it took long
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
func (w *worker) observe(ctx context.Context) residency.Report {
	if w.device != nil {
		return w.observeDevice(ctx)
	}
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
	w.machine.SetResidency(report)
	w.metrics.observed(report.Resident, report.Held)
	if err := w.metrics.explain(report.Held); err != nil {
		w.log.Warn("residency", "error", err)
	}
	return report
}

// watchResidency checks again on a timer, after idle time and after the machine
// slept, until ctx ends. It sends to lost when what is missing has not come back
// for as long as the settings allow.
func (w *worker) watchResidency(ctx context.Context, lost chan<- error) {
	if w.cfg.ResidencyInterval <= 0 {
		return
	}
	k := newKeeper(w.cfg.ResidencyInterval, w.cfg.ResidencyTimeout, readClocks())
	tick := time.NewTicker(min(keepTick, w.cfg.ResidencyInterval))
	defer tick.Stop()
	for {
		woken := false
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.machine.idle.woken:
			woken = true
		}
		why := k.due(readClocks(), woken)
		if why == "" {
			continue
		}
		err := w.recheck(ctx, why)
		if k.checked(readClocks(), err == nil) {
			lost <- fmt.Errorf("%w for %v: %w", ErrLost, w.cfg.ResidencyTimeout, err)
			return
		}
	}
}

// restoreGrace is how long missing pages may take to be read in again before
// the worker says that it is not ready: a request would wait no longer for them.
const restoreGrace = 500 * time.Millisecond

// recheck looks at the memory and the model's files. Pages that are missing are
// read in again and looked at once more. The worker is degraded when that takes
// long, or does not help, or the files have changed under the mapping, and is
// ready again when all is well. The error says what is not well.
func (w *worker) recheck(ctx context.Context, why string) error {
	report := w.observe(ctx)
	if len(report.Losses) > 0 && w.device == nil {
		report = w.restore(ctx, report, why, restoreGrace)
	}
	missing, changed := report.Err(), error(nil)
	if w.device == nil { // what a device has copied does not change with the files
		changed = w.source.Changed()
	}
	if changed != nil {
		changed = fmt.Errorf("the model's files changed after loading; start a new worker: %w", changed)
	}
	w.impairedBy(CauseResidency, missing)
	w.impairedBy(CauseFilesChanged, changed)
	err := errors.Join(missing, changed)
	if err != nil {
		w.log.Error("residency lost", "error", err, "missing", report.Missing, "found_by", why)
	}
	return err
}

// restore reads the pages in again that report lacks, and looks again. The worker
// is degraded once that has taken longer than grace; recheck heals it.
func (w *worker) restore(ctx context.Context, report residency.Report, why string, grace time.Duration) residency.Report {
	began, missing, slow := time.Now(), report.Missing, false
	w.log.Warn("residency", "missing", missing, "found_by", why, "note", "pages were taken from memory and are read again")
	fetch(ctx, report.Losses, func() {
		if !slow && time.Since(began) > grace {
			slow = w.impairedBy(CauseResidency, report.Err())
		}
	})
	report = w.observe(ctx)
	w.metrics.restored.Add(float64(max(0, missing-report.Missing)))
	if report.Resident {
		w.log.Info("residency restored", "bytes", missing, "duration_ms", time.Since(began).Milliseconds(), "found_by", why)
	}
	return report
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
