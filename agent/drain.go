package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"llorch/inference"
)

// What a stop may take after running requests have had their time. Everything
// is bounded: a device that hangs must not keep the process alive.
const (
	cutTime   = 2 * cancelGrace        // to end requests that were cut
	flushTime = 200 * time.Millisecond // to send what is in sockets
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
	report := w.drain()
	told := w.tellOrchestrator(report, time.Since(began))
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	cutConnections := w.server.Close(ctx)
	err := w.closeEngine()
	told()
	w.move(Stopped, "")
	w.tellDrained(errors.Join(cause, err), report, time.Since(began))
	w.log.Info("shutdown", "completed", report.Completed, "cut", report.Cut, "connections_cut", cutConnections != nil,
		"duration_ms", time.Since(began).Milliseconds(), "exit", ExitStatus(errors.Join(cause, err)))
	return err
}

// drain gives running requests the configured time, then cuts them. A second
// signal cuts at once, a fault leaves nothing to wait for.
func (w *worker) drain() inference.DrainReport {
	if w.engine == nil {
		return inference.DrainReport{}
	}
	ctx, cancel := context.WithTimeout(w.cutting, w.cfg.DrainTimeout)
	defer cancel()
	done := make(chan inference.DrainReport, 1)
	go func() { done <- w.engine.Drain(ctx) }()
	select {
	case report := <-done:
		return report
	case <-ctx.Done():
		w.metrics.cutting.Store(true)
		w.server.jobs.cancelAll(inference.ErrDraining)
	}
	select {
	case report := <-done:
		return report
	case <-time.After(cutTime):
		w.log.Warn("drain", "note", "the device is inside a long step; the streams have ended without it")
		return inference.DrainReport{Cut: w.engine.Stats().SlotsBusy + w.engine.Stats().Queued}
	}
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
