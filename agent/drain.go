package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"llorch/callback"
	"llorch/inference"
)

// What a stop may take after running requests have had their time. Everything
// is bounded: a device that hangs must not keep the process alive.
const (
	cutTime   = 2 * cancelGrace        // to end requests that were cut
	flushTime = 300 * time.Millisecond // to send what is in sockets
	closeTime = 300 * time.Millisecond // to free the device; the process ends anyway, and frees it then
)

// shutdown is the order of stop: drain, close the HTTP side, free the device,
// report. cause is the error that made the worker stop, nil for a wish.
func (w *worker) shutdown(cause error) error {
	began := time.Now()
	why := "stopping"
	if cause != nil {
		why = cause.Error()
	}
	w.move(Draining, why)
	w.deregister()
	w.tellStopping(cause)
	w.drain()
	took := time.Since(w.machine.Standing().Since)
	told := w.tellOrchestrator(w.drained(took))
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	cutConnections := w.server.Close(ctx)
	flushed := w.flushTraces()
	err := w.closeEngine()
	flushed()
	told()
	w.move(Stopped, "")
	report := w.drained(took)
	w.log.Info("drained", "completed", report.Completed, "cut", report.Cut, "refused", report.Refused, "seconds", report.Seconds)
	w.tellDrained(errors.Join(cause, err), report)
	w.log.Info("shutdown", "completed", report.Completed, "cut", report.Cut, "connections_cut", cutConnections != nil,
		"duration_ms", time.Since(began).Milliseconds(), "exit", ExitStatus(errors.Join(cause, err)))
	return err
}

// drained is what became of the requests of a drain that took so long. Requests
// are refused until the listener closes, so that a later report may say more.
func (w *worker) drained(took time.Duration) callback.DrainReport {
	r := w.server.tally.report()
	r.Seconds = took.Seconds()
	return r
}

// drain gives running requests the configured time, then cuts them. A second
// signal cuts at once, a fault leaves nothing to wait for. When it returns every
// stream has its outcome, also where the device does not answer.
func (w *worker) drain() {
	if w.engine == nil {
		return
	}
	ctx, cancel := context.WithTimeout(w.cutting, w.cfg.DrainTimeout)
	defer cancel()
	done := make(chan struct{})
	go func() { w.engine.Drain(ctx); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		w.metrics.cutting.Store(true)
		w.server.jobs.cancelAll(inference.ErrDraining)
	}
	late, end := context.WithTimeout(context.Background(), cutTime)
	defer end()
	select {
	case <-done:
	case <-late.Done():
		w.log.Warn("drain", "note", "the device is inside a long step; the streams have ended without it")
	}
	w.server.jobs.wait(late)
}

func (w *worker) closeEngine() error {
	if w.engine == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- w.engine.Close() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("agent: close: %w", err)
		}
		return nil
	case <-time.After(closeTime):
		w.log.Warn("close", "note", "the device is inside a long step, which ends with the process")
		return nil
	}
}
