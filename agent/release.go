package agent

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"llorch/inference"
)

// releaseWatch measures how long a cancelled request keeps its slot and pages:
// from the end of its context, whoever ended it, to the engine's last event.
type releaseWatch struct {
	observed prometheus.Observer
	at       time.Time // readable once noted is closed
	noted    chan struct{}
	forget   func() bool
}

// watchRelease begins to wait for the end of ctx.
func watchRelease(ctx context.Context, o prometheus.Observer) *releaseWatch {
	w := &releaseWatch{observed: o, noted: make(chan struct{})}
	w.forget = context.AfterFunc(ctx, func() {
		w.at = time.Now()
		close(w.noted)
	})
	return w
}

// released takes the engine's last event, once. An event that did not come of
// the cancel is none of a cancel's time.
func (w *releaseWatch) released(last inference.Event) {
	if w.forget() {
		return
	}
	if outcome := outcomeOf(last); outcome != "cancelled" && outcome != "timeout" {
		return
	}
	<-w.noted
	w.observed.Observe(max(last.At.Sub(w.at), 0).Seconds()) // the engine may have seen it before us
}

// outlived waits for the last event of a stream whose client has its answer
// already. The engine always closes the channel, if the device ever answers.
func (w *releaseWatch) outlived(events <-chan inference.Event) {
	for ev := range events {
		if ev.End != nil || ev.Err != nil {
			w.released(ev)
		}
	}
}
