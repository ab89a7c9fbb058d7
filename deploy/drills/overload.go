package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"llorch/deploy/demo/standin"
)

// overload: more work than can be done.
var overload = []Drill{
	{"goodput-at-ten-times-the-load", "overload", []int{12}, 3 * time.Minute, goodputUnderOverload},
	{"deadlines-under-overload", "overload", []int{12}, 40 * time.Second, deadlinesUnderOverload},
	{"probes-at-ten-times-the-clients", "overload", []int{4, 12}, 40 * time.Second, probesUnderOverload},
}

// crowd is what the clients of an overloaded worker have seen.
type crowd struct {
	worker *standin.Worker
	wg     sync.WaitGroup

	mu                     sync.Mutex
	sent, refused, whole   int
	tokens                 int // of whole streams
	lastRetry, longestWait int // seconds, of Retry-After
	wrong                  error
}

// ask runs one request to its end. It reports whether it was taken.
func (c *crowd) ask(ctx context.Context, r standin.Request) bool {
	c.mu.Lock()
	c.sent++
	r.JobID = strconv.Itoa(c.sent)
	c.mu.Unlock()
	s, err := c.worker.Execute(ctx, "", r)
	if err != nil {
		c.fault(ctx, err)
		return false
	}
	if s.Status == 503 {
		_, _ = s.Next() // the JSON body, which is no frame: a connection whose answer was read is used again
		s.Close()
		after, err := strconv.Atoi(s.Header.Get("Retry-After"))
		if err != nil || after < 1 {
			c.fault(ctx, fmt.Errorf("refused with Retry-After %q", s.Header.Get("Retry-After")))
		}
		c.mu.Lock()
		c.refused, c.lastRetry, c.longestWait = c.refused+1, after, max(c.longestWait, after)
		c.mu.Unlock()
		return false
	}
	all, err := s.All()
	end := standin.Last(all)
	if err != nil || s.Status != 200 || end.Type != "end" {
		c.fault(ctx, fmt.Errorf("status %d, ended with %s: %w", s.Status, end.Raw, errors.Join(err, errors.New("an admitted request was lost"))))
		return true
	}
	c.mu.Lock()
	c.whole, c.tokens = c.whole+1, c.tokens+end.TokensOut
	c.mu.Unlock()
	return true
}

// fault keeps the first error, unless the drill is over.
func (c *crowd) fault(ctx context.Context, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong == nil && ctx.Err() == nil {
		c.wrong = err
	}
}

func (c *crowd) counts() (tokens, whole int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens, c.whole
}

// tale is a request of 120 to 200 tokens: the tiny model serves so many short
// ones that at ten times as many HTTP would be what is measured.
func tale(random *rand.Rand) standin.Request { return long("", 120+random.IntN(81)) }

// atPeak keeps the worker as busy as it can be, for a time, and returns the
// streams that ended in it.
func (c *crowd) atPeak(ctx context.Context, span time.Duration, clients int) (tokens, whole int) {
	t0, w0 := c.counts()
	end := time.Now().Add(span)
	for i := range clients {
		random := rand.New(rand.NewPCG(uint64(i), 1))
		c.wg.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				c.ask(ctx, tale(random))
			}
		})
	}
	time.Sleep(time.Until(end))
	t1, w1 := c.counts()
	c.wg.Wait()
	return t1 - t0, w1 - w0
}

// flooded lets requests arrive at a rate, whatever becomes of them.
func (c *crowd) flooded(ctx context.Context, span time.Duration, rate float64) (tokens int) {
	t0, _ := c.counts()
	random := rand.New(rand.NewPCG(2, 2))
	end := time.Now().Add(span)
	for next := time.Now(); next.Before(end) && ctx.Err() == nil; {
		time.Sleep(time.Until(next))
		r := tale(random)
		c.wg.Go(func() { c.ask(ctx, r) })
		next = next.Add(time.Duration(random.ExpFloat64() / rate * float64(time.Second)))
	}
	time.Sleep(time.Until(end))
	t1, _ := c.counts()
	c.wg.Wait()
	return t1 - t0
}

// goodputUnderOverload compares what the worker achieves at saturation with what
// it achieves when ten times as much arrives, in turns. What counts is tokens for
// each second of processor time that the worker got, the median of the turns:
// here the clients sit on the worker's cores, and other processes may, too. The
// share in wall time is told beside it.
func goodputUnderOverload(ctx context.Context, b *Bench) (string, error) {
	const rounds, span = 5, 4 * time.Second
	threads := max(runtime.NumCPU()-1, 1) // threads that share a core with clients would wait for each other
	w, err := b.ReadyAs(ctx, standin.Spawn{Idle: 64, Args: []string{"--max-batch", "8", "--max-queue", "8", "--threads", strconv.Itoa(threads)}})
	if err != nil {
		return "", err
	}
	c := &crowd{worker: w}
	c.atPeak(ctx, 2*time.Second, 12) // the rates are learned here
	var shares, wall []float64
	var rate float64
	for range rounds {
		var peak, over int
		atPeak, err := c.efficiency(ctx, func() {
			var whole int
			peak, whole = c.atPeak(ctx, span, 12)
			rate = float64(whole) / span.Seconds()
		})
		if err != nil {
			return "", err
		}
		flooded, err := c.efficiency(ctx, func() { over = c.flooded(ctx, span, 10*rate) })
		if err := errors.Join(err, c.wrong, ctx.Err()); err != nil {
			return "", err
		}
		shares, wall = append(shares, flooded/atPeak), append(wall, float64(over)/float64(max(peak, 1)))
	}
	if c.refused < c.whole {
		return "", fmt.Errorf("%d refused, %d served: that was no overload", c.refused, c.whole)
	}
	share := slices.Sorted(slices.Values(shares))[rounds/2]
	figure := fmt.Sprintf("at 10x %.1f requests/s goodput for the worker's processor time is %.0f %% of the peak, the median of %.2f (wall time: %.2f); %d admitted, none lost; %d refused with Retry-After up to %d s",
		rate, 100*share, shares, wall, c.whole, c.refused, c.longestWait)
	if share < 0.9 {
		return "", errors.New(figure)
	}
	return figure, nil
}

// efficiency is the tokens that whole streams got for each second of processor
// time that the worker used while f ran.
func (c *crowd) efficiency(ctx context.Context, f func()) (float64, error) {
	t0, _ := c.counts()
	cpu0, err := metric(ctx, c.worker, "process_cpu_seconds_total")
	if err != nil {
		return 0, err
	}
	f()
	t1, _ := c.counts()
	cpu1, err := metric(ctx, c.worker, "process_cpu_seconds_total")
	return float64(t1-t0) / max(cpu1-cpu0, 1e-3), err
}

// deadlinesUnderOverload: whoever is let in behind a full queue has time
// enough; the others are refused at once instead of being computed in vain.
func deadlinesUnderOverload(ctx context.Context, b *Bench) (string, error) {
	w, err := b.Ready(ctx, "--max-batch", "2", "--max-queue", "64")
	if err != nil {
		return "", err
	}
	if _, err := whole(ctx, w, long("first", 300)); err != nil {
		return "", err
	}
	stuffing, leave := context.WithCancel(ctx)
	var busy sync.WaitGroup
	defer busy.Wait()
	defer leave()
	for i := range 12 {
		busy.Go(func() {
			if s, err := w.Execute(stuffing, "", long(fmt.Sprint("stuffing", i), 1500)); err == nil {
				_, _ = s.All()
			}
		})
	}
	err = until(ctx, "a queue", func() error {
		if wait, err := metric(ctx, w, "llorch_queue_wait_seconds"); err != nil || wait < 2 {
			return fmt.Errorf("the wait is %v s: %w", wait, errors.Join(err, errors.New("too short")))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	wait, err := metric(ctx, w, "llorch_queue_wait_seconds")
	if err != nil {
		return "", err
	}
	at := time.Now()
	soon := fmt.Sprint(at.Add(500 * time.Millisecond).UnixMilli())
	status, header, body, err := w.Do(ctx, "POST", "/execute", short("hurried"), "X-Deadline", soon)
	took := time.Since(at)
	if err != nil {
		return "", err
	}
	if status != 408 || header.Get("Retry-After") == "" || took > 400*time.Millisecond {
		return "", fmt.Errorf("a deadline in 0.5 s behind a wait of %.1f s: status %d after %v, Retry-After %q: %.200s",
			wait, status, took, header.Get("Retry-After"), body)
	}
	return fmt.Sprintf("a wait of %.1f s ahead, a deadline in 0.5 s: refused after %.1f ms, come back after %s s",
		wait, float64(took.Microseconds())/1e3, header.Get("Retry-After")), nil
}

// probesUnderOverload: ten clients for every slot, who come back at once, and
// probes in between. A machine that does other things makes probes late, so
// the best of three measurements counts.
func probesUnderOverload(ctx context.Context, b *Bench) (string, error) {
	w, err := b.Ready(ctx, "--max-batch", "8", "--max-queue", "16")
	if err != nil {
		return "", err
	}
	c := &crowd{worker: w}
	clients, stop := context.WithCancel(ctx)
	for i := range 80 {
		random := rand.New(rand.NewPCG(uint64(i), 3))
		c.wg.Go(func() {
			for clients.Err() == nil {
				if !c.ask(clients, tale(random)) {
					time.Sleep(time.Duration(50+random.IntN(100)) * time.Millisecond)
				}
			}
		})
	}
	var best time.Duration
	var all []string
	for range 3 {
		p99, worst, n, err := probed(ctx, w, 4*time.Second)
		if err != nil {
			stop()
			c.wg.Wait()
			return "", err
		}
		all = append(all, fmt.Sprintf("p99 %.1f ms, worst %.1f ms of %d", ms(p99), ms(worst), n))
		if best == 0 || p99 < best {
			best = p99
		}
		if best < 50*time.Millisecond {
			break
		}
	}
	stop()
	c.wg.Wait()
	if best >= 50*time.Millisecond {
		return "", fmt.Errorf("probes: %v", all)
	}
	return fmt.Sprintf("80 clients on 8 slots, %d refused; probes %s", c.refused, all[len(all)-1]), nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// probed asks health, readiness and metrics for a time.
func probed(ctx context.Context, w *standin.Worker, span time.Duration) (p99, worst time.Duration, n int, err error) {
	var took []time.Duration
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, path := range []string{"/health", "/ready", "/metrics"} {
			at := time.Now()
			if err := expect(ctx, w, "GET", path, nil, 200); err != nil {
				return 0, 0, 0, err
			}
			took = append(took, time.Since(at))
		}
	}
	slices.Sort(took)
	return took[len(took)*99/100], took[len(took)-1], len(took), nil
}
