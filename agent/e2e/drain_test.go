package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// census is what clients of a worker that drained have seen.
type census struct {
	mu                     sync.Mutex
	ended, cut, turnedAway int
	wrong                  []error
}

// send asks for a story and reads it to its end.
func (c *census) send(f *fleet, r standin.Request) {
	s, err := f.Execute(f.t.Context(), "", r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		return // nobody listens any more: not admitted
	}
	if s.Status != 200 {
		s.Close()
		if s.Status != 503 {
			c.wrong = append(c.wrong, fmt.Errorf("status %d", s.Status))
		}
		c.turnedAway++
		time.Sleep(2 * time.Millisecond) // not a busy loop while it drains
		return
	}
	c.mu.Unlock()
	all, err := s.All() // exactly one terminal frame, the last
	c.mu.Lock()
	switch end := standin.Last(all); {
	case err != nil:
		c.wrong = append(c.wrong, err)
	case end.Type == "end":
		c.ended++
	case end.Code == "CANCELLED":
		c.cut++
	default:
		c.wrong = append(c.wrong, fmt.Errorf("ended with %s", end.Raw))
	}
}

// Drains at random moments of random work, cut by time or by a second signal:
// every admitted stream ends with exactly one terminal frame, and the report
// says what the clients have seen.
func TestDrainReportIsWhatClientsSaw(t *testing.T) {
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	random := rand.New(rand.NewPCG(7, 7))
	for round := range rounds {
		timeout := []string{"0s", "150ms", "400ms", "30s"}[round%4]
		f := ready(t, "--drain-timeout", timeout, "--max-batch", "4", "--max-queue", "12")
		var c census
		var clients sync.WaitGroup
		stop := make(chan struct{})
		for i := range 12 {
			seeds := rand.New(rand.NewPCG(uint64(round), uint64(i)))
			clients.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					r := story(fmt.Sprint(i, "-", n), seeds.Uint64())
					r.MaxTokens = 1 + seeds.IntN(60)
					c.send(f, r)
				}
			})
		}
		time.Sleep(time.Duration(50+random.IntN(300)) * time.Millisecond)
		began := time.Now()
		_ = f.Signal(syscall.SIGTERM)
		if timeout == "30s" {
			time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
			_ = f.Signal(syscall.SIGTERM) // fails where all has ended by itself
		}
		f.exits(0, 10*time.Second)
		took := time.Since(began)
		close(stop)
		clients.Wait()
		checkCensus(t, f, &c, timeout)
		t.Logf("%s: %d ended, %d cut, %d turned away, over after %v", timeout, c.ended, c.cut, c.turnedAway, took)
	}
}

func checkCensus(t *testing.T, f *fleet, c *census, timeout string) {
	t.Helper()
	for _, err := range c.wrong {
		t.Errorf("%s: %v", timeout, err)
	}
	lines, err := f.Log()
	if err != nil {
		t.Error(err)
	}
	draining, ends := false, 0
	for _, l := range lines {
		switch {
		case l.Fields["message"] == "state" && l.Fields["to"] == "draining":
			draining = true
		case l.Fields["message"] == "execute_end" && l.Fields["outcome"] == "success" && draining:
			ends++
		}
	}
	report, ok := f.Find("drained")
	if !ok {
		t.Fatalf("%s: no report", timeout)
	}
	figure := func(name string) int { n, _ := report.Fields[name].(float64); return int(n) }
	// A stream may end after the state has changed and before the log says so.
	if completed := figure("completed"); completed < ends || completed > c.ended {
		t.Errorf("%s: %d completed are reported; %d ended in all, %d of them after the log said draining", timeout, completed, c.ended, ends)
	}
	if figure("cut") != c.cut || figure("refused") < c.turnedAway {
		t.Errorf("%s: reported %v, the clients saw %d cut and %d refused", timeout, report.Fields, c.cut, c.turnedAway)
	}
	if s, ok := report.Fields["seconds"].(float64); !ok || s < 0 || s > 10 {
		t.Errorf("%s: took %v seconds", timeout, report.Fields["seconds"])
	}
}

// stage brings a worker into a state and returns what to check once it has ended.
type stage func(t *testing.T, f *fleet, dir string) (after func())

// logs is the stage in which a line is in the log.
func logs(message string) stage {
	return func(t *testing.T, f *fleet, _ string) func() {
		if _, err := f.WaitLine(t.Context(), message); err != nil {
			t.Fatal(err)
		}
		return func() {}
	}
}

// streaming is the stage in which n requests are in.
func streaming(n int) stage {
	return func(t *testing.T, f *fleet, _ string) func() {
		f.healthy()
		var c census
		var clients sync.WaitGroup
		for i := range n {
			clients.Go(func() { c.send(f, endless(fmt.Sprint(i))) })
		}
		eventually(t, "all are in", 10*time.Second, func() bool {
			_, text := f.get("GET", "/metrics", nil)
			busy, _ := standin.Sample(text, "llorch_slots_busy")
			queued, _ := standin.Sample(text, "llorch_requests_queued")
			return int(busy+queued) == n
		})
		return func() {
			clients.Wait()
			if len(c.wrong) > 0 || c.ended+c.cut != n {
				t.Errorf("%d ended, %d cut of %d: %v", c.ended, c.cut, n, c.wrong)
			}
		}
	}
}

func registering(t *testing.T, f *fleet, _ string) func() {
	eventually(t, "registering", 20*time.Second, func() bool { return len(f.orchestrator.Calls()) > 0 })
	return func() {}
}

func degraded(t *testing.T, f *fleet, dir string) func() {
	f.healthy()
	enlarge(t, firstShard(t, dir))
	eventually(t, "degraded", 10*time.Second, func() bool {
		_, body := f.get("GET", "/health", nil)
		return strings.Contains(body, `"state":"degraded"`)
	})
	return func() {}
}

func draining(t *testing.T, f *fleet, dir string) func() {
	after := streaming(2)(t, f, dir)
	_ = f.Signal(syscall.SIGTERM)
	eventually(t, "draining", 10*time.Second, func() bool {
		status, _, _, err := f.Do(t.Context(), "GET", "/ready", nil)
		return err != nil || status == 503
	})
	return after
}

// A signal in every state of a worker's life ends it with 0, soon, with the
// report, and with a terminal frame for whoever had a stream.
func TestSignalInEveryState(t *testing.T) {
	busy := func(int, standin.Call) int { return 503 }
	for _, c := range []struct {
		name   string
		answer func(int, standin.Call) int
		reach  stage
	}{
		{"starting", nil, logs("startup")},
		{"loading", nil, logs("model_load_start")},
		{"loading the weights", nil, logs("memory_plan")},
		{"loaded", nil, logs("model_load_complete")},
		{"registering", busy, registering},
		{"idle", nil, streaming(0)},
		{"busy", nil, streaming(1)},
		{"with a queue", nil, streaming(5)},
		{"degraded", nil, degraded},
		{"draining", nil, draining},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyModel(t)
			o := orchestrate(t, c.answer)
			f := spawn(t, standin.Spawn{Model: dir, CallbackURL: o.URL("/ready"), Args: []string{
				"--drain-timeout", "200ms", "--max-batch", "2", "--max-queue", "8", "--residency-interval", "100ms"}})
			f.orchestrator = o
			after := c.reach(t, f, dir)
			began := time.Now()
			_ = f.Signal(syscall.SIGTERM)
			f.exits(0, 10*time.Second)
			after()
			report, ok := f.Find("drained")
			t.Logf("over after %v: %v", time.Since(began), report.Fields)
			if !ok {
				t.Error("no report")
			}
		})
	}
}
