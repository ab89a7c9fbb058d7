package inference

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"llorch/inference/sample"
)

// flood sends stories to an engine from within its steps, so that the moments
// of arrival are exact in the device's own time.
type flood struct {
	t       *testing.T
	e       *Engine
	random  *rand.Rand
	readers sync.WaitGroup

	mu              sync.Mutex
	ended           []answer
	at              []time.Time // of each end
	sent, refused   int
	guessed, waited time.Duration // of those that ended: foretold and real
	wrong           []error
}

// send asks for one story.
func (f *flood) send() {
	f.sent++
	r := Request{
		ID: fmt.Sprint(f.sent), Prompt: "Once upon a time", MaxTokens: 40 + f.random.IntN(160),
		Sampling: sample.Params{Temperature: 1, TopP: 1, Seed: f.random.Uint64()},
	}
	f.e.mu.Lock()
	guess, _ := f.e.admission.line(f.e.lineup(), nil)
	f.e.mu.Unlock()
	events, err := f.e.Generate(context.Background(), r)
	if err != nil {
		f.refused++
		var typed *Error
		if !errors.As(err, &typed) || !errors.Is(err, ErrBusy) && !errors.Is(err, ErrBusyTokens) || typed.RetryAfter <= 0 {
			f.wrong = append(f.wrong, fmt.Errorf("refused with %w", err))
		}
		return
	}
	f.readers.Go(func() {
		var last Event
		tokens := 0
		for last = range events {
			tokens++
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended, f.at = append(f.ended, answer{end: last.End, err: last.Err}), append(f.at, last.At)
		if last.End == nil || last.End.TokensOut != tokens-1 {
			f.wrong = append(f.wrong, fmt.Errorf("after %d events: %+v", tokens, last))
			return
		}
		f.guessed, f.waited = f.guessed+guess, f.waited+last.End.Queued
	})
}

// goodput is the tokens a second of stories that ended well after from, once
// there are n of them.
func (f *flood) goodput(from time.Time, n int) (perSecond, ends float64, enough bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	tokens, count, last := 0, 0, from
	for i, a := range f.ended {
		if a.end != nil && f.at[i].After(from) && count < n {
			tokens, count, last = tokens+a.end.TokensOut, count+1, f.at[i]
		}
	}
	took := last.Sub(from).Seconds()
	return float64(tokens) / took, float64(count) / took, count >= n
}

// run calls arrive within every step until n stories have ended.
func (f *flood) run(w *world, n int, arrive func()) (perSecond, ends float64) {
	from, done := w.now(), make(chan struct{})
	w.do(func(int) {
		var enough bool
		if perSecond, ends, enough = f.goodput(from, n); enough {
			w.do(nil)
			close(done)
			return
		}
		arrive()
	})
	f.send()
	select {
	case <-done:
	case <-time.After(3 * time.Minute):
		f.t.Fatal("no end in sight")
	}
	return perSecond, ends
}

// TestOverload measures what the engine achieves at saturation, then lets ten
// times as many requests arrive as it can serve: it achieves as much, everyone
// who was let in gets the whole story, everyone else hears when to come back.
// The cache is far too small for all slots at their longest.
func TestOverload(t *testing.T) {
	const stories = 40
	e, w := openPaced(t, Options{MaxBatch: 8, MaxQueue: 16, CacheBytes: cacheOf(t, demoModel, 14*64)})
	f := &flood{t: t, e: e, random: rand.New(rand.NewPCG(1, 2))}
	peak, rate := f.run(w, stories, func() {
		for s := e.Stats(); s.SlotsBusy+s.Queued < 14; s = e.Stats() {
			f.send()
		}
	})
	next := w.now()
	f.mu.Lock()
	f.guessed, f.waited = 0, 0
	f.mu.Unlock()
	over, _ := f.run(w, stories, func() {
		for ; !next.After(w.now()); next = next.Add(time.Duration(f.random.ExpFloat64() / (10 * rate) * float64(time.Second))) {
			f.send()
		}
	})
	f.readers.Wait()
	for _, err := range f.wrong {
		t.Error(err)
	}
	t.Logf("peak %.1f tokens/s, %.2f stories/s; at ten times that %.1f tokens/s: %.0f %%; %d of %d refused; waits foretold %v, real %v; %d preemptions",
		peak, rate, over, 100*over/peak, f.refused, f.sent, f.guessed, f.waited, e.Stats().Preemptions)
	if over < 0.9*peak {
		t.Errorf("goodput fell to %.0f %%", 100*over/peak)
	}
	if f.refused < stories {
		t.Errorf("only %d of %d were refused: that is no overload", f.refused, f.sent)
	}
	if f.guessed < f.waited/2 || f.guessed > 2*f.waited {
		t.Errorf("waits of %v were foretold, they were %v", f.guessed, f.waited)
	}
	if s := e.Stats(); s.PagesFree != s.PagesTotal || s.SlotsBusy+s.Queued != 0 {
		t.Errorf("something is still held: %+v", s)
	}
}
