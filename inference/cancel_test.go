package inference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// victim is a request that is cancelled within the step that its number says.
type victim struct {
	id     string
	cancel context.CancelFunc
	step   int
}

// TestCancelWithinOneStep cancels requests at random moments, in the queue, in
// prefill and in decode, always in the middle of a step: when the next step
// begins, none of them has a slot, a page or a row in it.
func TestCancelWithinOneStep(t *testing.T) {
	e, w := openPaced(t, Options{MaxBatch: 4, MaxQueue: 12, ChunkTokens: 64, CacheBytes: cacheOf(t, demoModel, 24*64)})
	random := rand.New(rand.NewPCG(3, 4))
	var readers sync.WaitGroup
	var mu sync.Mutex // of what follows
	var victims []*victim
	where, sent := map[string]int{}, 0
	ask := func(step int) {
		sent++
		ctx, cancel := context.WithCancel(t.Context())
		v := &victim{id: fmt.Sprint(sent), cancel: cancel, step: step + 1 + random.IntN(40)}
		events, err := e.Generate(ctx, Request{ID: v.id, Prompt: strings.Repeat("Once upon a time ", 1+random.IntN(40)), MaxTokens: 400})
		if err != nil {
			t.Error(err)
			cancel()
			return
		}
		victims = append(victims, v)
		readers.Go(func() {
			for range events {
			}
		})
	}
	w.do(func(step int) { // on the loop's goroutine: the scheduler may be looked into
		mu.Lock()
		defer mu.Unlock()
		held := map[int32]bool{} // some hold the same pages
		for _, v := range victims {
			if q := find(e.sched, v.id); q != nil && v.step < step {
				t.Errorf("step %d: request %s was cancelled in step %d and is still there with %d pages", step, v.id, v.step, len(q.pages))
			} else if q != nil && v.step == step {
				where[phaseOf(e.sched, q)]++
				v.cancel()
			}
		}
		e.sched.each(func(q *sequence) {
			for _, page := range q.pages {
				held[page] = true
			}
		})
		if pool := e.sched.pool; len(held) != pool.Total()-pool.Free() {
			t.Errorf("step %d: the requests hold %d pages, %d are out", step, len(held), pool.Total()-pool.Free())
		}
		if sent < 200 && e.Stats().Queued < 8 {
			ask(step)
		}
	})
	mu.Lock()
	ask(0)
	mu.Unlock()
	for e.Stats().SlotsBusy+e.Stats().Queued > 0 {
		time.Sleep(time.Millisecond)
	}
	readers.Wait()
	mu.Lock()
	defer mu.Unlock()
	for _, v := range victims {
		v.cancel()
	}
	if where["waiting"] == 0 || where["prefill"] == 0 || where["decode"] == 0 {
		t.Errorf("cancelled %v: not every phase was met", where)
	}
	if s := e.Stats(); s.PagesFree != s.PagesTotal {
		t.Errorf("%d of %d pages are free", s.PagesFree, s.PagesTotal)
	}
	t.Logf("cancelled %v of %d", where, sent)
}

func find(s *scheduler, id string) (found *sequence) {
	s.each(func(q *sequence) {
		if q.id == id {
			found = q
		}
	})
	return found
}

func phaseOf(s *scheduler, q *sequence) string {
	for _, r := range s.running {
		if r != q {
			continue
		}
		if q.decoding() {
			return "decode"
		}
		return "prefill"
	}
	return "waiting"
}
