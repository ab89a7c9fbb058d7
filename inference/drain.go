package inference

import (
	"context"
	"errors"
	"time"

	"llorch/inference/backend"
)

// DrainReport says what became of the requests that were in the engine when a
// drain began.
type DrainReport struct {
	Completed int // ended well
	Cut       int // ended by the drain, their caller or an error
}

// Drain refuses new requests and waits for those in flight. When ctx ends first
// it cuts them; each still gets its terminal event. It returns when no request
// is left.
func (e *Engine) Drain(ctx context.Context) DrainReport {
	completed, failed := e.stats.completed.Load(), e.stats.failed.Load()
	e.mu.Lock()
	if e.refuse == nil {
		e.refuse = ErrDraining
	}
	e.mu.Unlock()
	done := ctx.Done()
	defer signal(e.left) // another Drain may wait for the same end
	for !e.empty() {
		select {
		case <-e.left:
		case <-done:
			e.cut.Store(true)
			signal(e.wake)
			done = nil
		}
	}
	return DrainReport{int(e.stats.completed.Load() - completed), int(e.stats.failed.Load() - failed)}
}

func (e *Engine) empty() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.inFlight) == 0
}

// Close ends what is still running, waits for the loop and frees the device,
// the files and the tokenizer.
func (e *Engine) Close() error {
	e.mu.Lock()
	again := e.closing
	e.closing = true
	if e.refuse == nil {
		e.refuse = ErrClosed
	}
	e.mu.Unlock()
	signal(e.wake)
	<-e.stopped
	if again {
		return nil
	}
	close(e.release)
	errs := []error{<-e.released}
	for _, f := range e.closers {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// Faulted is closed when a device fault is latched.
func (e *Engine) Faulted() <-chan struct{} { return e.faulted }

// Fault returns the latched device fault, or nil.
func (e *Engine) Fault() error {
	select {
	case <-e.faulted:
		return e.fault
	default:
		return nil
	}
}

// Stats returns the engine's counters and gauges. It takes no lock and never
// waits for work.
func (e *Engine) Stats() Stats {
	in, running := int(e.stats.inside.Load()), int(e.stats.running.Load())
	return Stats{
		SlotsTotal: e.info.MaxBatch, SlotsBusy: running,
		Queued: max(in-running, 0), QueueCap: e.info.MaxQueue,
		QueuedTokens: int(e.stats.queuedTokens.Load()), QueueWait: time.Duration(e.stats.queueWait.Load()),
		PagesTotal: e.sched.pool.Total(), PagesFree: int(e.stats.pagesFree.Load()), PageSize: e.sched.pool.PageSize(),
		PagesCached: int(e.stats.pagesCached.Load()), Evictions: e.stats.evictions.Load(),
		PrefixQueries: e.stats.prefixQueries.Load(), PrefixHits: e.stats.prefixHits.Load(),
		Steps: e.stats.steps.Load(), StepsAhead: e.stats.stepsAhead.Load(), TokensIn: e.stats.tokensIn.Load(), TokensOut: e.stats.tokensOut.Load(),
		Preemptions: e.stats.preemptions.Load(),
	}
}

// Info returns what was loaded; it does not change.
func (e *Engine) Info() Info { return e.info }

// Regions returns the memory the device computes from, for residency.
func (e *Engine) Regions() []backend.Region { return e.regions }
