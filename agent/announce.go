package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"llorch/agent/notify"
	"llorch/callback"
	"llorch/inference"
)

const (
	// loadStall is the time a load gets from each moment at which it moved. One
	// that stands still longer is the service manager's to end.
	loadStall = 2 * time.Minute
	// statusEvery is how often the line for people changes while serving.
	statusEvery = 5 * time.Second
)

// tell sends to the service manager. One that does not listen is no reason to
// fail: without its watchdog fed it acts by itself.
func (w *worker) tell(lines ...notify.Line) {
	if err := w.notify.Send(lines...); err != nil {
		w.log.Warn("service manager", "error", err)
	}
}

// tellLoading reports progress until the function it returns is called, which
// may be done twice. More time is asked for only when the load has moved.
func (w *worker) tellLoading() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(reportEvery)
		defer tick.Stop()
		last := ""
		for {
			s, _ := w.machine.State()
			p, left := w.machine.Progress(), ""
			text := loadingText(s, p)
			if s == Loading {
				left = p.left() // beside the text: it changes when the load does not move
			}
			if s == Registering && w.cfg.SpawnWindow == 0 { // for ever: ask for more time now and then
				text = fmt.Sprintf("registering for %d min", int(time.Since(w.machine.Standing().Since).Minutes()))
			}
			if text != last {
				last = text
				w.tell(notify.Status(text+left), notify.Extend(w.grace(s)))
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() { cancel(); ended.Wait() }
}

// grace is the time until start-up must have moved again.
func (w *worker) grace(s State) time.Duration {
	if s == Registering {
		return loadStall + w.cfg.SpawnWindow // nothing moves while the callback is tried again
	}
	return loadStall
}

func loadingText(s State, p Progress) string {
	if s != Loading {
		return s.String()
	}
	return fmt.Sprintf("loading: %d %% (%s, %d of %d MiB)", p.Percent, p.Phase, p.BytesDone>>20, p.BytesTotal>>20)
}

func (w *worker) tellReady() {
	w.tell(notify.Ready(), notify.Status(fmt.Sprintf("ready: %s at %s", w.info.Name, w.cfg.URI())))
}

// tellStopping asks for the time that the stop may take by our own bounds.
func (w *worker) tellStopping(cause error) {
	text := "draining"
	if cause != nil {
		text = "stopping: " + cause.Error()
	}
	w.tell(notify.Stopping(), notify.Status(text), notify.Extend(w.cfg.DrainTimeout+cutTime+flushTime+closeTime+time.Second))
}

func (w *worker) tellDrained(err error, r callback.DrainReport) {
	text := fmt.Sprintf("drained: %d completed, %d cut, %d refused, %.1f s", r.Completed, r.Cut, r.Refused, r.Seconds)
	if err != nil {
		text = fmt.Sprintf("failed, exit status %d: %v (%s)", ExitStatus(err), err, text)
	}
	w.tell(notify.Status(text))
}

// statusLine makes the line for people while serving.
type statusLine struct {
	at     time.Time // of the last look
	tokens uint64
	cause  Cause
	text   string
}

// next returns a line when one is due: at once when the cause changes, every
// statusEvery when the figures have.
func (l *statusLine) next(now time.Time, s Standing, st inference.Stats) (string, bool) {
	took := now.Sub(l.at)
	if took < statusEvery && s.Cause == l.cause {
		return "", false
	}
	rate := float64(st.TokensOut-l.tokens) / max(took.Seconds(), 1e-3)
	l.at, l.tokens, l.cause = now, st.TokensOut, s.Cause
	text := fmt.Sprintf("%s: %d running, %d waiting, %.1f tokens/s", s.State, st.SlotsBusy, st.Queued, rate)
	if s.Cause != CauseNone {
		text = fmt.Sprintf("%s: %s since %s: %s", s.State, s.Cause, s.Since.UTC().Format(time.RFC3339), s.Reason)
	}
	if text == l.text {
		return "", false
	}
	l.text = text
	return text, true
}
