package agent

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"llorch/agent/notify"
	"llorch/inference"
)

const (
	watchEvery = 500 * time.Millisecond // how often the step counter is read, at most
	watchFloor = 10 * time.Millisecond  // and at least: reading it is cheap, waking up is not
	stackBytes = 256 << 10              // of all goroutines in the log; the queue of lines is a few times that
)

// watchSteps follows the engine's step counter until ctx ends: it degrades the
// worker while the device hangs and heals it when steps move again. The manager's
// watchdog is fed from this loop and only while it finds nothing, so a loop that
// stands still starves it as well. expect is what a full prefill step may take.
func (w *worker) watchSteps(ctx context.Context, stats func() inference.Stats, expect time.Duration) {
	every := w.watchInterval()
	d := hangDetector{timeout: w.cfg.HangTimeout, expect: expect, maxGap: 2 * every}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var fed time.Time
	line := statusLine{at: time.Now()}
	for {
		now := time.Now()
		st := stats()
		hung, changed := d.look(now, st.Steps, st.SlotsBusy+st.Queued)
		if changed {
			w.hang(hung, st, d.limit())
		}
		if dog := w.notify.Watchdog(); dog > 0 && !hung && now.Sub(fed) >= dog/2-every/2 {
			fed = now
			w.tell(notify.Alive())
		}
		if text, ok := line.next(now, w.machine.Standing(), st); ok {
			w.tell(notify.Status(text))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// watchInterval is short against both times that depend on it.
func (w *worker) watchInterval() time.Duration {
	every := watchEvery
	if t := w.cfg.HangTimeout; t > 0 {
		every = min(every, t/10)
	}
	if dog := w.notify.Watchdog(); dog > 0 {
		every = min(every, dog/8)
	}
	return max(every, watchFloor)
}

// hang records the news. The stacks are logged once for each hang: they are what
// tells a device that does not answer from a lock that we hold.
func (w *worker) hang(hung bool, st inference.Stats, limit time.Duration) {
	if !hung {
		w.machine.Heal(CauseHang)
		return
	}
	reason := fmt.Sprintf("no step for %v with %d requests running and %d waiting", limit.Round(time.Millisecond), st.SlotsBusy, st.Queued)
	w.machine.Impair(CauseHang, reason)
	stacks := make([]byte, stackBytes)
	stacks = stacks[:runtime.Stack(stacks, true)]
	w.log.Error("hang", "reason", reason, "steps", st.Steps, "stacks", string(stacks))
}
