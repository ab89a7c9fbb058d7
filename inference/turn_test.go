package inference

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/sample"
)

// mixedRequests end in every way that there is: after so many tokens, at the end of the text, at a
// stop sequence; they are chosen by every rule, one of which keeps steps from being taken ahead.
func mixedRequests() (all []Request) {
	for i := range 16 {
		r := Request{ID: fmt.Sprint(i), Prompt: strings.Repeat("The little fox went home. ", i*i/5+1) + fmt.Sprint(i), MaxTokens: 1 + 9*i}
		switch i % 4 {
		case 1:
			r.Sampling = sample.Params{Temperature: 0.9, TopP: 1, Seed: uint64(i)}
		case 2:
			r.Stop = []string{"the", "."}
		case 3:
			r.Sampling = drawn(uint64(i))
		}
		all = append(all, r)
	}
	slow := Request{ID: "p", Prompt: "Once", MaxTokens: 20, Sampling: sample.Params{Temperature: 1, TopP: 1, TopK: 31}}
	return append(all, slow)
}

// TestStepsAhead: texts and how they end are those of steps one at a time, alone and all at once, with pages for all
// and with so few that some are preempted.
func TestStepsAhead(t *testing.T) {
	worldAhead = &aheadWorld{}
	for _, o := range append(accelerators(), Options{Device: "ahead"}) {
		t.Run(o.Device, func(t *testing.T) {
			o.MaxBatch, o.PrefixCache = 17, PrefixCacheOff
			plain := openEngine(t, demoModel, o)
			plain.aside(func() error { plain.pipe = nil; return nil })
			checkAhead := func(name string, o Options) {
				e := openEngine(t, demoModel, o)
				sameEnds(t, name, e, plain)
				if s := e.Stats(); s.PagesFree != s.PagesTotal || s.StepsAhead < 300 {
					t.Errorf("%s: %+v", name, s)
				}
			}
			checkAhead("roomy", o)
			o.MaxBatch, o.MaxQueue, o.ChunkTokens, o.CacheBytes = 6, 20, 64, cacheOf(t, demoModel, 12*64)
			checkAhead("tight", o)
			if n := plain.Stats().StepsAhead; n != 0 {
				t.Errorf("%d steps were compared with themselves", n)
			}
		})
	}
}

// sameEnds compares what an engine answers, alone and to all at once, with what another does.
func sameEnds(t *testing.T, name string, e, plain *Engine) {
	t.Helper()
	requests := mixedRequests()
	want := map[string]answer{}
	same := func(how string, r Request, got answer) {
		w := want[r.ID]
		if got.err != nil || w.err != nil || got.text != w.text || got.end.Reason != w.end.Reason || got.end.TokensOut != w.end.TokensOut {
			t.Errorf("%s: request %s %s: %q %+v %v, want %q %+v %v", name, r.ID, how, got.text, got.end, got.err, w.text, w.end, w.err)
		}
	}
	for _, r := range requests {
		want[r.ID] = ask(t, plain, r)
		same("alone", r, ask(t, e, r))
	}
	for range 3 {
		before := e.Stats().StepsAhead
		var wg sync.WaitGroup
		for _, r := range requests {
			events, err := e.Generate(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { same("among others", r, collect(t, events)) })
		}
		wg.Wait()
		if e.Stats().StepsAhead == before {
			t.Errorf("%s: no step of several was taken ahead", name)
		}
	}
}

// TestStepsAheadFail: a launch that fails for want of memory ends the requests that were in it, after the tokens of the step
// before; a step that fails ends them and what has begun behind it; a fault ends all, and no token follows it.
func TestStepsAheadFail(t *testing.T) {
	lost := &backend.Fault{Class: "injected", Reason: "lost"}
	for _, c := range []struct {
		name         string
		begin, await error // at the 10th
		tokens       int
		code         Code
	}{
		{"launch without memory", fmt.Errorf("no room: %w", backend.ErrMemory), nil, 9, CodeOutOfMemory},
		{"launch lost", lost, nil, 8, CodeUnhealthy},
		{"step failed", nil, errors.New("odd"), 9, CodeInferenceFailed},
		{"step lost", nil, lost, 9, CodeUnhealthy},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, w := openAhead(t, Options{MaxBatch: 2})
			clear(e.eos)
			at := func(err error) func(int64) error {
				return func(step int64) error {
					if step == 10 {
						return err
					}
					return nil
				}
			}
			w.begins, w.awaits = at(c.begin), at(c.await)
			r := Request{ID: "a", Prompt: "Once upon a time", MaxTokens: 50}
			got := ask(t, e, r)
			var typed *Error
			if !errors.As(got.err, &typed) || typed.Code != c.code || len(got.ids) != c.tokens {
				t.Errorf("%d tokens, then %v; want %d, then %s", len(got.ids), got.err, c.tokens, c.code)
			}
			if fault := c.code == CodeUnhealthy; fault != (e.Fault() != nil) {
				t.Errorf("fault: %v", e.Fault())
			} else if fault {
				return
			}
			if again := ask(t, e, r); again.err != nil || len(again.ids) != 50 {
				t.Errorf("the next request: %d tokens, %v", len(again.ids), again.err)
			}
		})
	}
}

// TestNotFiniteAhead: a row without an honest choice ends its request alone, though the next step was fed
// with it.
func TestNotFiniteAhead(t *testing.T) {
	e, w := openAhead(t, Options{MaxBatch: 2})
	clear(e.eos)
	w.odd = 10
	alone := ask(t, e, Request{ID: "a", Prompt: "Once upon a time", MaxTokens: 60})
	if len(alone.ids) != 9 || !errors.Is(alone.err, sample.ErrNotFinite) {
		t.Errorf("%d tokens, %v", len(alone.ids), alone.err)
	}
	whole := ask(t, e, Request{ID: "a", Prompt: "Once upon a time", MaxTokens: 60})
	if whole.err != nil || len(whole.ids) != 60 {
		t.Fatalf("%d tokens, %v", len(whole.ids), whole.err)
	}
	first, err := e.Generate(t.Context(), Request{ID: "a", Prompt: "Once upon a time", MaxTokens: 60})
	if err != nil {
		t.Fatal(err)
	}
	ev := <-first
	e.aside(func() error { w.odd = w.calls.begin + 20; return nil })
	second, err := e.Generate(t.Context(), Request{ID: "b", Prompt: "Once upon a time", MaxTokens: 60})
	if err != nil {
		t.Fatal(err)
	}
	got := collect(t, second)
	failed := error(nil)
	for ev = range first {
		failed = ev.Err
	}
	if got.err != nil || got.text != whole.text || !errors.Is(failed, sample.ErrNotFinite) {
		t.Errorf("the row: %v; its neighbour: %v %q, alone %q", failed, got.err, got.text, whole.text)
	}
}

// TestAsidesWaitForSteps: what is to run between two steps finds none under way, and does not wait for the end of
// a long answer.
func TestAsidesWaitForSteps(t *testing.T) {
	e, _ := openAhead(t, Options{MaxBatch: 2})
	clear(e.eos)
	events, err := e.Generate(t.Context(), Request{ID: "a", Prompt: "Once", MaxTokens: 300})
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for ev := range events {
		if ev.Err != nil {
			t.Fatal(ev.Err)
		}
		if ran++; ran%20 == 0 { // its Sync fails while a step is under way
			done := make(chan error, 1)
			e.aside(func() error { done <- e.dev.Sync(); return nil })
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	if ran < 300 {
		t.Errorf("%d events", ran)
	}
}
