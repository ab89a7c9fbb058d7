package inference

import (
	"context"
	"fmt"
	"testing"
	"time"

	"llorch/inference/backend"
)

// Events bear the engine's time, not the reader's: one who reads late can tell.
func TestEventsBearTheEnginesTime(t *testing.T) {
	e := openEngine(t, demoModel, Options{})
	before := time.Now()
	events, err := e.Generate(context.Background(), Request{ID: "a", Prompt: "Once upon a time", MaxTokens: 30})
	if err != nil {
		t.Fatal(err)
	}
	for e.Stats().SlotsBusy+e.Stats().Queued > 0 {
		time.Sleep(time.Millisecond)
	}
	after := time.Now()
	last := before
	for ev := range events {
		if ev.At.Before(last) || ev.At.After(after) {
			t.Errorf("event %d at %v: the one before it at %v, all within %v", ev.Index, ev.At.Sub(before), last.Sub(before), after.Sub(before))
		}
		last = ev.At
	}
	if last.Equal(before) {
		t.Error("no events")
	}
}

// A prompt counts once it is computed: not while it waits, and not if its
// request leaves before.
func TestPromptsCountWhenComputed(t *testing.T) {
	e := openEngine(t, demoModel, Options{MaxBatch: 1, MaxQueue: 1})
	first, err := e.Generate(context.Background(), Request{ID: "a", Prompt: "Once upon a time", MaxTokens: 400})
	if err != nil {
		t.Fatal(err)
	}
	<-first
	counted := e.Stats().TokensIn
	if counted == 0 {
		t.Error("a first token has come, but no prompt was counted")
	}
	ctx, cancel := context.WithCancel(context.Background())
	waiting, err := e.Generate(ctx, Request{ID: "b", Prompt: "There was a little dog", MaxTokens: 4})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if ev := <-waiting; ev.Err == nil {
		t.Fatalf("%+v", ev)
	}
	for range first {
	}
	if n := e.Stats().TokensIn; n != counted {
		t.Errorf("%d prompt tokens, %d before a request that never ran", n, counted)
	}
}

func TestFaultClass(t *testing.T) {
	fault := fmt.Errorf("step: %w", &backend.Fault{Class: "sigbus", Reason: "page gone"})
	if got := FaultClass(fault); got != "sigbus" {
		t.Errorf("%q", got)
	}
	if got := FaultClass(ErrBusy); got != "" {
		t.Errorf("%q for an error that is no fault", got)
	}
}
