package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"llorch/deploy/demo/standin"
)

// drain: being told to stop, at every moment.
var drain = []Drill{
	{"stop-at-random-moments", "drain", []int{14}, 90 * time.Second, stopAtRandom},
	{"stop-while-starting", "drain", []int{14}, 60 * time.Second, stopWhileStarting},
}

// afterDrain is what the exit may take beyond the drain's own time.
const afterDrain = time.Second

// seen is what the clients of a worker that drained have seen.
type seen struct {
	mu         sync.Mutex
	ended, cut int
	turnedAway int
	wrong      error
}

// ask reads one story to its end: exactly one terminal frame, the last.
func (x *seen) ask(ctx context.Context, w *standin.Worker, r standin.Request) {
	s, err := w.Execute(ctx, "", r)
	if err != nil {
		return // nobody listens any more: not admitted
	}
	if s.Status != 200 {
		s.Close()
		x.mu.Lock()
		x.turnedAway++
		x.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		return
	}
	all, err := s.All()
	x.mu.Lock()
	defer x.mu.Unlock()
	switch end := standin.Last(all); {
	case err != nil || end.Type == "error" && end.Code != "CANCELLED":
		x.wrong = errors.Join(x.wrong, err, fmt.Errorf("ended with %q", end.Raw))
	case end.Type == "end":
		x.ended++
	default:
		x.cut++
	}
}

// stopAtRandom stops workers with random work at random moments, each fourth
// with a second signal. Every admitted stream has its terminal frame, the report
// says what clients saw, the process ends in time.
func stopAtRandom(ctx context.Context, b *Bench) (string, error) {
	const rounds = 12
	random := rand.New(rand.NewPCG(11, 12))
	var latest time.Duration
	ended, cut, refused := 0, 0, 0
	for round := range rounds {
		limit := []time.Duration{0, 100 * time.Millisecond, 700 * time.Millisecond, 30 * time.Second}[round%4]
		w, err := b.Ready(ctx, "--drain-timeout", limit.String(), "--max-batch", "4", "--max-queue", "12")
		if err != nil {
			return "", err
		}
		var x seen
		clients, stop := context.WithCancel(ctx)
		var busy sync.WaitGroup
		for i := range 12 {
			own := rand.New(rand.NewPCG(uint64(round), uint64(i)))
			busy.Go(func() {
				for n := 0; clients.Err() == nil; n++ {
					x.ask(ctx, w, long(fmt.Sprint(i, "-", n), 1+own.IntN(80)))
				}
			})
		}
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		over, err := stopped(ctx, w, limit, round%4 == 3)
		stop()
		busy.Wait()
		if err := errors.Join(err, x.wrong, reported(ctx, w, &x)); err != nil {
			return "", fmt.Errorf("round %d, drain timeout %v: %w", round, limit, err)
		}
		latest, ended, cut, refused = max(latest, over), ended+x.ended, cut+x.cut, refused+x.turnedAway
	}
	return fmt.Sprintf("%d stops: %d streams ended, %d cut, each with one terminal frame; %d refused; exit at most %.2f s after the drain's time",
		rounds, ended, cut, refused, latest.Seconds()), nil
}

// stopped sends the signal, or two, and returns how long after the time of the
// drain the process has ended.
func stopped(ctx context.Context, w *standin.Worker, limit time.Duration, twice bool) (over time.Duration, err error) {
	began := time.Now()
	if err := w.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	if twice {
		time.Sleep(20 * time.Millisecond)
		began, limit = time.Now(), 0
		_ = w.Signal(syscall.SIGTERM) // fails where all has ended by itself
	}
	if err := exits(ctx, w, 0); err != nil {
		return 0, err
	}
	if over = time.Since(began) - limit; over > afterDrain {
		return 0, fmt.Errorf("ended %v after the time of its drain", over)
	}
	return max(over, 0), nil
}

// reported compares the report with what clients saw.
func reported(ctx context.Context, w *standin.Worker, x *seen) error {
	line, err := logged(ctx, w, "drained")
	if err != nil {
		return err
	}
	figure := func(name string) int { n, _ := line.Fields[name].(float64); return int(n) }
	if figure("cut") != x.cut || figure("completed") > x.ended || figure("refused") < x.turnedAway {
		return fmt.Errorf("reported %v, clients saw %d ended, %d cut, %d refused", line.Fields, x.ended, x.cut, x.turnedAway)
	}
	return nil
}

// stopWhileStarting stops workers at thirty moments of their start.
func stopWhileStarting(ctx context.Context, b *Bench) (string, error) {
	const rounds = 30
	states := map[string]int{}
	var latest time.Duration
	for i := range rounds {
		o, err := b.Orchestrator(func(int, standin.Call) int { return 503 })
		if err != nil {
			return "", err
		}
		w, err := b.Spawn(standin.Spawn{CallbackURL: o.URL("/ready"), Args: []string{"--local-mode", "--drain-timeout", "0s"}})
		if err != nil {
			return "", err
		}
		if _, err := w.WaitLine(ctx, "startup"); err != nil { // before it, the process is not ours yet
			return "", err
		}
		time.Sleep(time.Duration(i) * 5 * time.Millisecond)
		over, err := stopped(ctx, w, 0, false)
		if err != nil {
			return "", fmt.Errorf("round %d: %w", i, err)
		}
		latest = max(latest, over)
		if _, err := logged(ctx, w, "drained"); err != nil {
			return "", err
		}
		lines, _ := w.Log()
		for _, l := range lines {
			if l.Fields["message"] == "state" && l.Fields["to"] == "draining" {
				states[fmt.Sprint(l.Fields["from"])]++
			}
		}
	}
	return fmt.Sprintf("stopped in %v: exit status 0 and a report each time, at most %.2f s after the signal", states, latest.Seconds()), nil
}
