package inference

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestSameAtEveryBatch asks 32 different requests of an accelerator alone, then two to
// all 32 at once, in other orders: the texts are the same. TestBatchInvariance is this
// for the CPU, whose batches take no other kernels by their size.
func TestSameAtEveryBatch(t *testing.T) {
	list := accelerators()
	if len(list) == 0 {
		t.Skip("not run: there is no accelerator, or the program is built for none")
	}
	for _, o := range list {
		o.MaxBatch = 32
		e := openEngine(t, demoModel, o)
		clear(e.eos)
		requests, alone := make([]Request, 32), make([]answer, 32)
		for i := range requests {
			requests[i] = Request{ID: fmt.Sprint(i), Prompt: strings.Repeat("The little fox went home. ", i%7*i/4+1) + fmt.Sprint(i), MaxTokens: 30 + i}
			if i%3 != 0 {
				requests[i].Sampling = drawn(uint64(i))
			}
			if alone[i] = ask(t, e, requests[i]); alone[i].err != nil {
				t.Fatal(alone[i].err)
			}
		}
		for _, batch := range []int{2, 3, 5, 8, 9, 16, 17, 32} {
			var wg sync.WaitGroup
			for n := range batch {
				i := (n*11 + batch) % 32
				events, err := e.Generate(context.Background(), requests[i])
				if err != nil {
					t.Fatal(err)
				}
				wg.Go(func() {
					if got := collect(t, events); got.text != alone[i].text || got.err != nil {
						t.Errorf("%s: request %d of %d at once: %q %v, alone %q", o.Device, i, batch, got.text, got.err, alone[i].text)
					}
				})
			}
			wg.Wait()
		}
		checkHeld(t, e)
	}
}
