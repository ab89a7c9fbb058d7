package inference

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"
)

// TestDrainTwiceAtOnce: everyone who waits for the last request hears of its
// end, and later drains have nothing to wait for.
func TestDrainTwiceAtOnce(t *testing.T) {
	e := openEngine(t, demoModel, Options{})
	events, err := e.Generate(context.Background(), Request{ID: "a", Prompt: "Once upon a time", MaxTokens: 30})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { e.Drain(context.Background()) })
		}
		wg.Wait()
		e.Drain(context.Background())
	}()
	collect(t, events)
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("a drain still waits, and no request is left")
	}
}

// TestLargestMaxTokens: a number of tokens beyond the context, and beyond any
// arithmetic, means as many as the context holds.
func TestLargestMaxTokens(t *testing.T) {
	e := openEngine(t, demoModel, Options{MaxContext: 70})
	clear(e.eos)
	for _, n := range []int{math.MaxInt, math.MaxInt - 1, 70} {
		a := ask(t, e, Request{ID: "a", Prompt: "Once upon a time", MaxTokens: n})
		if a.err != nil || a.end.TokensIn+a.end.TokensOut != 70 || a.end.Reason != StopMaxTokens {
			t.Errorf("max tokens %d: %+v %v", n, a.end, a.err)
		}
	}
}
