package inference

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestModel checks any real model: LLORCH_TEST_MODEL_PATH=<folder> make
// test-model. Without the variable it checks the demo model.
func TestModel(t *testing.T) {
	path := os.Getenv("LLORCH_TEST_MODEL_PATH")
	if path == "" {
		path = demoModel
	}
	began := time.Now()
	e := openEngine(t, path, Options{})
	info := e.Info()
	t.Logf("%s: %s %s, %d parameters, context %d, loaded in %v", info.Name, info.Architecture, info.Quant, info.Params,
		info.Context, time.Since(began).Round(time.Millisecond))
	r := Request{ID: "a", Prompt: "Once upon a time", MaxTokens: 32}
	greedy := ask(t, e, r)
	if greedy.err != nil || len(greedy.ids) == 0 {
		t.Fatalf("greedy: %v %v", greedy.ids, greedy.err)
	}
	t.Logf("greedy: %q", greedy.text)

	t.Run("memory as planned", func(t *testing.T) { checkHeld(t, e) })
	t.Run("every page resident", func(t *testing.T) { checkResident(t, e) })
	t.Run("stream equals whole decode", func(t *testing.T) {
		prompt, err := e.encode(r.Prompt)
		if err != nil {
			t.Fatal(err)
		}
		whole := strings.TrimPrefix(e.tok.Decode(slices.Concat(prompt, greedy.ids)), e.tok.Decode(prompt))
		if whole != greedy.text {
			t.Errorf("pieces joined: %q, decoded at once: %q", greedy.text, whole)
		}
	})
	t.Run("same seed, same text", func(t *testing.T) {
		s := r
		s.Sampling = drawn(7)
		one, two := ask(t, e, s), ask(t, e, s)
		s.Sampling.Seed = 8
		if other := ask(t, e, s); one.text != two.text || other.text == one.text {
			t.Errorf("seed 7: %q and %q; seed 8: %q", one.text, two.text, other.text)
		}
	})
	t.Run("same text among others", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 4 {
			s := Request{ID: fmt.Sprint(i), Prompt: r.Prompt, MaxTokens: 32}
			if i > 0 {
				s.Prompt, s.Sampling = fmt.Sprintf("Question %d: why is the sky blue?", i), drawn(uint64(i))
			}
			events, err := e.Generate(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if a := collect(t, events); i == 0 && a.text != greedy.text {
					t.Errorf("%q, alone %q", a.text, greedy.text)
				}
			})
		}
		wg.Wait()
	})
	t.Run("tokens arrive while they are made", func(t *testing.T) {
		events, err := e.Generate(t.Context(), Request{ID: "live", Prompt: r.Prompt, MaxTokens: 24, Sampling: drawn(3)})
		if err != nil {
			t.Fatal(err)
		}
		steps := map[uint64]bool{}
		for range events {
			steps[e.Stats().Steps] = true
		}
		if len(steps) < 3 {
			t.Errorf("all tokens came within %d steps of reading them", len(steps))
		}
	})
}
