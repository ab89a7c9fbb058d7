package callback

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// What is said at the end comes in order: draining at once, also while a heartbeat hangs, then the report.
func TestFarewell(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	hung := make(chan struct{}, 1)
	registry := &standin.Registry{}
	o := orchestrator(t, standin.Listener{Answer: registry.Answer, Reply: func(_ int, c standin.Call, _ http.ResponseWriter) bool {
		if strings.HasSuffix(c.Path, "heartbeat") {
			hung <- struct{}{}
			<-hold
		}
		return false
	}})
	l := live(t, Options{URL: o.URL("/ready"), HiveURL: o.URL(""), DeregisterURL: o.URL("/deregister"), Timeout: limit}).register()
	<-hung
	l.client.Drain()
	l.await("draining", func() bool { m, _ := registry.Member("w-17"); return m.State == "draining" })
	l.awaitState(Deregistering)
	l.client.Drained(DrainReport{Completed: 3, Cut: 1, Refused: 2, Seconds: 1.5})
	l.awaitState(Deregistered)
	if err := l.end(); err != nil {
		t.Error(err)
	}
	var bodies []string
	for _, c := range o.Calls() {
		if c.Path == "/deregister" {
			bodies = append(bodies, string(c.Body))
		}
	}
	epoch := l.client.o.Epoch
	if want := []string{
		fmt.Sprintf(`{"worker_id":"w-17","epoch":%q,"state":"draining"}`, epoch),
		fmt.Sprintf(`{"worker_id":"w-17","epoch":%q,"state":"drained","completed":3,"cut":1,"refused":2,"seconds":1.5}`, epoch),
	}; !slices.Equal(bodies, want) {
		t.Errorf("%v, want %v", bodies, want)
	}
}

// An orchestrator that does not answer a farewell costs its limit, no more.
func TestFarewellToNobody(t *testing.T) {
	registry := &standin.Registry{}
	o := orchestrator(t, standin.Listener{Answer: registry.Answer})
	s, err := standin.ListenSilent(0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := live(t, Options{URL: o.URL("/ready"), DeregisterURL: s.URL("/deregister"), Timeout: 300 * time.Millisecond}).register()
	l.client.Drain()
	l.await("told twice", func() bool { return s.Accepted() >= 2 }) // the first attempt was given up
	l.client.Drained(DrainReport{})
	l.awaitState(Deregistered)
	if err := l.end(); err != nil || l.count(Timeout) < 2 {
		t.Errorf("%v, %s", err, l.told())
	}
}

// Heartbeats have exactly the bodies that their receivers compare.
func TestHeartbeatBodies(t *testing.T) {
	o := orchestrator(t, standin.Listener{})
	at := time.Date(2025, 11, 2, 8, 0, 0, 5, time.FixedZone("", 3600))
	l := live(t, Options{
		Profile: ProfileNone, HiveURL: o.URL("/"), QueenURL: o.URL("/hive"), Now: func() time.Time { return at },
		Health: func() Beat { return Beat{Status: "busy"} },
	}).register()
	l.awaitState(Registered)
	got := map[string]string{}
	for _, c := range o.Calls() {
		got[c.Path] = string(c.Body)
		if c.Header.Get("Authorization") != "Bearer s3cret" || c.Header.Get(EpochHeader) != l.client.o.Epoch {
			t.Errorf("%s: %v", c.Path, c.Header)
		}
	}
	for path, want := range map[string]string{
		"/v1/heartbeat": `{"worker_id":"w-17","timestamp":"2025-11-02T07:00:00Z","health_status":"degraded"}`,
		"/hive/v1/worker-heartbeat": `{"worker":{"id":"w-17","model_id":"m","device":"cpu:0","port":8004,"status":"busy",` +
			`"implementation":"llorch-cpu","version":"1"},"timestamp":"2025-11-02T07:00:00Z"}`,
	} {
		if got[path] != want {
			t.Errorf("%s:\n got %s\nwant %s", path, got[path], want)
		}
	}
}

// A connection that breaks under a heartbeat or under the last word is no loss: the call is made again at once, and
// counts as one.
func TestBrokenConnectionsAreNoLoss(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	broken := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/ready" && !strings.Contains(string(body), "draining") && broken%3 < 2 {
			broken++
			panic(http.ErrAbortHandler)
		}
		broken = 0
		bodies = append(bodies, string(body))
	}))
	defer receiver.Close()
	l := live(t, Options{URL: receiver.URL + "/ready", HiveURL: receiver.URL, DeregisterURL: receiver.URL + "/bye"}).register()
	l.await("heartbeats", func() bool { return l.count(Accepted) > 3 })
	l.client.Drained(DrainReport{Completed: 7})
	l.awaitState(Deregistered)
	mu.Lock()
	defer mu.Unlock()
	if last := bodies[len(bodies)-1]; !strings.Contains(last, `"completed":7`) {
		t.Errorf("last word %s", last)
	}
	if l.count(Accepted) < len(bodies) || slices.Contains(l.states, Lost) {
		t.Errorf("%d calls, %s", len(bodies), l.told())
	}
	for _, o := range []Outcome{Unreachable, Timeout} {
		if l.count(o) > 0 {
			t.Error(l.told())
		}
	}
}

// One receiver of heartbeats that fails is enough to be lost; nothing but a conflict is fatal.
func TestHeartbeatsOfTwoKinds(t *testing.T) {
	well := orchestrator(t, standin.Listener{})
	var mu sync.Mutex
	status := 500
	ill := orchestrator(t, standin.Listener{Answer: func(int, standin.Call) int { mu.Lock(); defer mu.Unlock(); return status }})
	l := live(t, Options{Profile: ProfileNone, HiveURL: well.URL(""), QueenURL: ill.URL("")}).register()
	l.await("both were called", func() bool { return l.count(Accepted) > 0 && l.count(ServerError) > 0 })
	set := func(s int) { mu.Lock(); defer mu.Unlock(); status = s }
	set(404)
	l.await("a stranger", func() bool { return l.count(Gone) > 1 })
	set(200)
	l.awaitState(Registered)
	set(503)
	l.awaitState(Lost)
	set(409)
	l.awaitState(Deregistered)
	if err := l.end(); !errors.Is(err, ErrDeregistered) {
		t.Error(err)
	}
}
