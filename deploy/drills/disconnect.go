package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"llorch/deploy/demo/standin"
)

// disconnects: clients that leave.
var disconnects = []Drill{
	{"ten-thousand-disconnects", "disconnects", []int{11}, 3 * time.Minute, tenThousandDisconnects},
}

// holdings are what a worker holds for its clients.
type holdings struct {
	goroutines, slots, queued, pagesOut float64
	descriptors                         int
	rss                                 int64
}

func holdingsOf(ctx context.Context, b *Bench, w *standin.Worker) (h holdings, err error) {
	_, _, text, err := w.Do(ctx, "GET", "/metrics", nil)
	if err != nil {
		return h, err
	}
	for name, to := range map[string]*float64{
		"go_goroutines": &h.goroutines, "llorch_slots_busy": &h.slots, "llorch_requests_queued": &h.queued, "llorch_cache_pages": &h.pagesOut,
	} {
		v, ok := standin.Sample(string(text), name)
		if !ok {
			return h, fmt.Errorf("/metrics has no %s", name)
		}
		*to = v
	}
	free, _ := standin.Sample(string(text), "llorch_cache_pages_free")
	h.pagesOut -= free
	memory, err := standin.ReadMemory(w.PID(), b.Model)
	if err != nil {
		return h, err
	}
	h.rss = memory.RSS
	h.descriptors, err = standin.Descriptors(w.PID())
	return h, err
}

// tenThousandDisconnects: three clients for every slot ask and leave at a random
// moment: before the answer's headers, in the queue, in the prefill, between
// tokens. Then the worker holds what it held before.
func tenThousandDisconnects(ctx context.Context, b *Bench) (string, error) {
	const all, clients = 10000, 24
	w, err := b.Ready(ctx, "--max-batch", "8", "--max-queue", "256") // room for all: a refusal is no disconnect
	if err != nil {
		return "", err
	}
	var next atomic.Int64
	leave := func(upTo int64) error {
		var wg sync.WaitGroup
		var wrong atomic.Pointer[error]
		for i := range clients {
			random := rand.New(rand.NewPCG(uint64(upTo), uint64(i)))
			wg.Go(func() {
				for n := next.Add(1); n <= upTo && ctx.Err() == nil && wrong.Load() == nil; n = next.Add(1) {
					if err := oneThatLeaves(ctx, w, random, n); err != nil {
						wrong.CompareAndSwap(nil, &err)
					}
				}
			})
		}
		wg.Wait()
		next.Store(upTo)
		if err := wrong.Load(); err != nil {
			return *err
		}
		return ctx.Err()
	}
	if err := leave(200); err != nil { // what is made once is made now
		return "", err
	}
	before, err := quiet(ctx, b, w, holdings{goroutines: 1e9, descriptors: 1 << 30})
	if err != nil {
		return "", err
	}
	began := time.Now()
	if err := leave(200 + all); err != nil {
		return "", err
	}
	took := time.Since(began)
	after, err := quiet(ctx, b, w, before)
	if err != nil {
		return "", err
	}
	if _, err := whole(ctx, w, short("after")); err != nil {
		return "", err
	}
	waited, err := metric(ctx, w, "llorch_cancel_to_free_seconds_sum")
	if err != nil {
		return "", err
	}
	count, err := metric(ctx, w, "llorch_cancel_to_free_seconds_count")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d left in %.0f s; %d goroutines, %d descriptors before, %d and %d after; no slot or page held; RSS %+.1f MiB; slot and pages free %.1f ms after a leave, on average of %d",
		all, took.Seconds(), int(before.goroutines), before.descriptors, int(after.goroutines), after.descriptors,
		float64(after.rss-before.rss)/(1<<20), 1e3*waited/max(count, 1), int(count)), nil
}

// oneThatLeaves asks for a long story and leaves.
func oneThatLeaves(ctx context.Context, w *standin.Worker, random *rand.Rand, n int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	moment := random.IntN(4)
	if moment == 0 { // before the headers, or about then
		time.AfterFunc(time.Duration(random.IntN(5000))*time.Microsecond, cancel)
	}
	s, err := w.Execute(ctx, "", endless(fmt.Sprint("leaver", n)))
	if err != nil {
		if moment == 0 {
			return nil
		}
		return err
	}
	defer s.Close()
	if s.Status != 200 {
		return fmt.Errorf("status %d", s.Status)
	}
	if moment < 2 { // in the queue, or in the prefill
		time.Sleep(time.Duration(random.IntN(5000)) * time.Microsecond)
		return nil
	}
	for range 1 + random.IntN(6) { // the first frame, or some tokens
		if _, err := s.Next(); err != nil && moment > 0 {
			return fmt.Errorf("leaver %d: %w", n, err)
		}
	}
	return nil
}

// quiet waits until nothing is in and no more is held than is allowed.
func quiet(ctx context.Context, b *Bench, w *standin.Worker, allowed holdings) (h holdings, err error) {
	const slack = 3 // idle connections of this client, and the scrape itself
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = until(ctx, "the worker is as before", func() error {
		var err error
		if h, err = holdingsOf(ctx, b, w); err != nil {
			return err
		}
		if h.slots+h.queued+h.pagesOut > 0 || h.goroutines > allowed.goroutines+slack || h.descriptors > allowed.descriptors+slack {
			return fmt.Errorf("%+v, before %+v", h, allowed)
		}
		return nil
	})
	return h, err
}
