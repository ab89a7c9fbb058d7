package callback

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// life is a client from its registration to its end, with quick waits, and all that was told of it.
type life struct {
	t      *testing.T
	client *Client
	end    func() error // stops it without a word, waits, and returns what Keep did

	mu       sync.Mutex
	outcomes []Outcome
	states   []State
}

// limit is far above what any wait of these tests takes.
const limit = 20 * time.Second

// live makes a client that has not been started.
func live(t *testing.T, o Options) *life {
	t.Helper()
	l := &life{t: t}
	o.Card, o.Token = Card{WorkerID: "w-17", ModelRef: "m", Device: "cpu:0", Port: 8004, Implementation: "llorch-cpu", Version: "1"}, "s3cret"
	if o.Epoch == "" {
		o.Epoch = NewEpoch(time.Now())
	}
	if o.Beat == 0 {
		o.Beat = 20 * time.Millisecond
	}
	if o.Window == 0 {
		o.Window = limit
	}
	o.WaitMin, o.WaitMax = time.Millisecond, 20*time.Millisecond
	o.Attempted = func(x Outcome) { l.mu.Lock(); defer l.mu.Unlock(); l.outcomes = append(l.outcomes, x) }
	o.Moved = func(s State) { l.mu.Lock(); defer l.mu.Unlock(); l.states = append(l.states, s) }
	var err error
	if l.client, err = New(o); err != nil {
		t.Fatal(err)
	}
	return l
}

// register makes the first registration and keeps it in the background.
func (l *life) register() *life {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := l.client.Ready(ctx, sample()); err != nil {
		l.t.Fatal(err)
	}
	l.keep()
	return l
}

func (l *life) keep() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.client.Keep(ctx) }()
	l.end = sync.OnceValue(func() error { cancel(); return <-done })
	l.t.Cleanup(func() { _ = l.end() })
}

func (l *life) state() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.states) == 0 {
		return Unregistered
	}
	return l.states[len(l.states)-1]
}

func (l *life) count(o Outcome) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.outcomes {
		if x == o {
			n++
		}
	}
	return n
}

// told is what was heard so far, in short.
func (l *life) told() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := map[Outcome]int{}
	for _, o := range l.outcomes {
		counts[o]++
	}
	return fmt.Sprintf("outcomes %v, last states %v", counts, l.states[max(0, len(l.states)-5):])
}

func (l *life) await(what string, ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("never happened: %s; %s", what, l.told())
		}
	}
}

func (l *life) awaitState(s State) {
	l.t.Helper()
	l.await(s.String(), func() bool { return l.state() == s })
}

// orchestrator opens a stand-in that ends with the test.
func orchestrator(t *testing.T, how standin.Listener) *standin.Orchestrator {
	t.Helper()
	o, err := standin.Open(how)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := standin.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// An orchestrator breaks under a registered worker in each of these ways, and comes back with no memory of it. The
// worker counts what it saw, is lost meanwhile, and registers again with the epoch it had.
func TestOutages(t *testing.T) {
	other := orchestrator(t, standin.Listener{})
	answer := func(status int) func(*testing.T, int) func() {
		return func(t *testing.T, port int) func() {
			o := orchestrator(t, standin.Listener{Port: port, Answer: func(int, standin.Call) int { return status }})
			return func() { o.Close() }
		}
	}
	for name, c := range map[string]struct {
		breaks func(t *testing.T, port int) (mend func())
		want   Outcome
	}{
		"down": {func(*testing.T, int) func() { return func() {} }, Unreachable},
		"slow": {func(t *testing.T, port int) func() {
			hold := make(chan struct{})
			o := orchestrator(t, standin.Listener{Port: port, Answer: func(int, standin.Call) int { <-hold; return 200 }})
			return func() { o.Close(); close(hold) }
		}, Timeout},
		"half open": {func(t *testing.T, port int) func() {
			s, err := standin.ListenSilent(port)
			if err != nil {
				t.Fatal(err)
			}
			return func() { s.Close() }
		}, Timeout},
		"500":     {answer(500), ServerError},
		"503":     {answer(503), ServerError},
		"flooded": {answer(429), Busy},
		"redirects": {func(t *testing.T, port int) func() {
			o := orchestrator(t, standin.Listener{Port: port, Reply: func(n int, c standin.Call, w http.ResponseWriter) bool {
				if strings.HasSuffix(c.Path, "heartbeat") { // a redirected heartbeat alone is no loss
					w.WriteHeader(500)
					return true
				}
				return standin.Redirect(other.URL("/ready"))(n, c, w)
			}})
			return func() { o.Close() }
		}, Redirected},
		"endless 500": {func(t *testing.T, port int) func() {
			o := orchestrator(t, standin.Listener{Port: port, Reply: standin.Endless(500)})
			return func() { o.Close() }
		}, ServerError},
	} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			registry := &standin.Registry{}
			o := orchestrator(t, standin.Listener{Port: port, Answer: registry.Answer})
			renew := time.Duration(0)
			if c.want == Busy {
				renew = 10 * time.Millisecond // heartbeats that are answered 429 are no loss
			}
			l := live(t, Options{URL: o.URL("/ready"), HiveURL: o.URL(""), Timeout: 300 * time.Millisecond, Renew: renew}).register()
			first, _ := registry.Member("w-17")
			o.Close()
			mend := c.breaks(t, port)
			l.await(string(c.want), func() bool { return l.count(c.want) > 0 })
			l.await("lost", func() bool { s := l.state(); return s == Lost || s == Reregistering })
			mend()
			registry.Forget()
			orchestrator(t, standin.Listener{Port: port, Answer: registry.Answer})
			l.await("registered again", func() bool { _, ok := registry.Member("w-17"); return ok && l.state() == Registered })
			if again, ok := registry.Member("w-17"); !ok || again.Epoch != first.Epoch || again.Epoch == "" {
				t.Errorf("%+v, was %+v", again, first)
			}
		})
	}
	if calls := other.Calls(); len(calls) > 0 {
		t.Errorf("a call was taken elsewhere by a redirect: %+v", calls[0])
	}
}

// An orchestrator that restarts between two heartbeats finds out by the next.
func TestRestartWithLostState(t *testing.T) {
	registry := &standin.Registry{}
	o := orchestrator(t, standin.Listener{Answer: registry.Answer})
	l := live(t, Options{URL: o.URL("/v2/internal/workers/ready"), QueenURL: o.URL("/")}).register()
	for range 3 {
		registry.Forget()
		l.await("back in the registry", func() bool { m, ok := registry.Member("w-17"); return ok && m.Beats > 0 })
	}
	l.awaitState(Registered)
	if l.count(Gone) < 3 || l.count(Conflict) > 0 {
		t.Error(l.told())
	}
	// Each registration was one ready call: the registry counts them anew after each loss.
	if m, _ := registry.Member("w-17"); m.Ready != 1 {
		t.Errorf("%d ready calls for one loss", m.Ready)
	}
}

// A worker that is ill when its orchestrator has forgotten it does not say that it is ready; it does when it is well,
// with evidence of that moment.
func TestUnfitWorkerWaits(t *testing.T) {
	registry := &standin.Registry{}
	o := orchestrator(t, standin.Listener{Answer: registry.Answer})
	var mu sync.Mutex
	health := Beat{Healthy: true, Status: "ready"}
	set := func(b Beat) { mu.Lock(); defer mu.Unlock(); health = b }
	asked := 0
	l := live(t, Options{
		URL: o.URL("/v1/workers/ready"), HiveURL: o.URL(""),
		Health:   func() Beat { mu.Lock(); defer mu.Unlock(); asked++; return health },
		Evidence: func() Evidence { return Evidence{LoadSeconds: 7} },
	}).register()
	set(Beat{Status: "busy"})
	registry.Forget()
	l.awaitState(Lost)
	mu.Lock()
	before := asked
	mu.Unlock()
	l.await("it looks at itself again and again", func() bool { mu.Lock(); defer mu.Unlock(); return asked > before+5 })
	if _, ok := registry.Member("w-17"); ok {
		t.Error("a worker that takes no work has registered")
	}
	set(Beat{Healthy: true, Status: "ready"})
	l.await("back in the registry", func() bool { _, ok := registry.Member("w-17"); return ok })
	l.awaitState(Registered)
	for _, c := range o.Calls() {
		if c.Path == "/v1/workers/ready" && !strings.Contains(string(c.Body), `"load_seconds":7`) {
			t.Errorf("%s", c.Body)
		}
	}
}

// Where there are no heartbeats, the repeated ready call finds the loss.
func TestRenewalFindsALoss(t *testing.T) {
	registry := &standin.Registry{}
	o := orchestrator(t, standin.Listener{Answer: registry.Answer})
	l := live(t, Options{URL: o.URL("/ready"), Renew: 10 * time.Millisecond}).register()
	registry.Forget()
	l.await("back in the registry", func() bool { _, ok := registry.Member("w-17"); return ok })
}

// Of two processes with one identity the second is refused at the start, and the first is ended if the orchestrator
// has given its identity away. It says nothing more then: not even that it drains.
func TestTwoWorkersWithOneIdentity(t *testing.T) {
	for name, beats := range map[string]bool{"told by a heartbeat": true, "told by a ready call": false} {
		registry := &standin.Registry{}
		o := orchestrator(t, standin.Listener{Answer: registry.Answer})
		options := Options{URL: o.URL("/ready"), DeregisterURL: o.URL("/deregister")}
		if beats {
			options.HiveURL = o.URL("")
		} else {
			options.Renew = 10 * time.Millisecond
		}
		first := live(t, options).register()
		second := live(t, options)
		if err := second.client.Ready(t.Context(), sample()); !errors.Is(err, ErrRefused) || second.count(Conflict) != 1 {
			t.Fatalf("%s: the second worker: %v, %s", name, err, second.told())
		}
		if first.state() != Registered {
			t.Errorf("%s: the first is %s", name, first.state())
		}
		registry.Take("w-17", "another")
		first.awaitState(Deregistered)
		if err := first.end(); !errors.Is(err, ErrDeregistered) || !strings.Contains(err.Error(), "409") {
			t.Errorf("%s: %v", name, err)
		}
		calls := len(o.Calls())
		first.client.Drained(DrainReport{})
		if err := first.client.Keep(t.Context()); err != nil || len(o.Calls()) != calls {
			t.Errorf("%s: %v; a worker that has no identity any more has called", name, err)
		}
		if m, _ := registry.Member("w-17"); m.Epoch != "another" || m.State != "ready" {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// A worker that is no longer wanted when it registers again is ended; one that meets a closed door is not.
func TestRefusedWhenRegisteringAgain(t *testing.T) {
	for status, ends := range map[int]bool{400: true, 401: true, 403: true, 404: true, 409: true, 410: true, 422: true, 408: false, 429: false, 503: false} {
		o := orchestrator(t, standin.Listener{Answer: func(n int, _ standin.Call) int {
			if n == 0 {
				return 200
			}
			return status
		}})
		l := live(t, Options{URL: o.URL("/ready"), Renew: 5 * time.Millisecond}).register()
		if !ends {
			l.await("tried again and again", func() bool { return len(o.Calls()) > 3 })
			if s := l.state(); s != Lost && s != Reregistering {
				t.Errorf("%d: %s", status, s)
			}
			continue
		}
		l.awaitState(Deregistered)
		if err := l.end(); !errors.Is(err, ErrDeregistered) || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("%d: %v", status, err)
		}
		if n := len(o.Calls()); n != 2 {
			t.Errorf("%d: %d calls", status, n)
		}
	}
}

// An answer that never ends is not read when it is yes, and only up to a limit when it is no.
func TestEndlessBodies(t *testing.T) {
	yes := orchestrator(t, standin.Listener{Reply: standin.Endless(200)})
	l := live(t, Options{URL: yes.URL("/ready"), HiveURL: yes.URL("")}).register()
	l.await("some heartbeats", func() bool { return l.count(Accepted) > 3 })
	no := orchestrator(t, standin.Listener{Reply: standin.Endless(422)})
	refused := live(t, Options{URL: no.URL("/ready")})
	var e *RefusedError
	if err := refused.client.Ready(t.Context(), sample()); !errors.As(err, &e) || len(e.Reply) > 2*excerptLimit {
		t.Errorf("%v", err)
	}
}
