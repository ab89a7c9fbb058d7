package agent

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestEveryCauseIsWholeAndDistinct(t *testing.T) {
	words := map[string]bool{}
	for c := CauseNone + 1; c < numCauses; c++ {
		word := c.String()
		if word == "" || words[word] || strings.ContainsAny(word, " -") || strings.ToLower(word) != word {
			t.Errorf("cause %d is called %q", c, word)
		}
		words[word] = true
		if c.HealthStatus() != http.StatusServiceUnavailable {
			t.Errorf("%s answers %d", c, c.HealthStatus())
		}
	}
	for s := range numStates {
		if c := stateFacts[s].cause; (c == CauseNone) != (s.Accepts() || s == Degraded) {
			t.Errorf("%s has the cause %q", s, c)
		}
		// A cause that heals may be followed by ready; one that does not is final.
		if c := stateFacts[s].cause; c != CauseNone && c.Heals() != s.loading() {
			t.Errorf("%s: heals is %v", s, c.Heals())
		}
	}
	if CauseNone.HealthStatus() != http.StatusOK {
		t.Error("no cause, yet not healthy")
	}
}

// atClock gives a machine a clock that the test turns.
func atClock(m *Machine) *time.Time {
	now := time.Unix(1_762_070_400, 0)
	m.now = func() time.Time { return now }
	return &now
}

// Impairments come and go by themselves; the worker is ready again when the
// last has gone, and not before.
func TestImpairmentsHealOneByOne(t *testing.T) {
	m := NewMachine(nil)
	now := atClock(m)
	for _, s := range []State{Loading, Verifying, Registering, Ready} {
		if err := m.To(s, ""); err != nil {
			t.Fatal(err)
		}
	}
	tick := func() time.Time { *now = now.Add(time.Second); return *now }
	want := func(s State, c Cause, since time.Time) {
		t.Helper()
		if got := m.Standing(); got.State != s || got.Cause != c || !got.Since.Equal(since) {
			t.Fatalf("%+v, want %s %q since %v", got, s, c, since)
		}
	}
	m.begin()
	want(Busy, CauseNone, *now)
	m.done()
	lost := tick()
	m.Impair(CauseResidency, "pages")
	want(Degraded, CauseResidency, lost)
	hung := tick()
	m.Impair(CauseHang, "no step")
	want(Degraded, CauseHang, hung)
	tick()
	m.Impair(CauseResidency, "more pages") // holds already: since stays
	if !m.Heal(CauseHang) || m.Heal(CauseHang) {
		t.Error("a heal is told wrong")
	}
	want(Degraded, CauseResidency, lost)
	if r := m.Standing().Reason; r != "more pages" {
		t.Errorf("reason %q", r)
	}
	well := tick()
	m.Heal(CauseResidency)
	want(Ready, CauseNone, well)
	m.Impair(CauseHang, "no step")
	down := tick()
	if err := m.To(Draining, "asked"); err != nil {
		t.Fatal(err)
	}
	want(Draining, CauseDraining, down)
	m.Heal(CauseHang)
	want(Draining, CauseDraining, down)
}

// An impairment found before the worker is ready holds when it gets ready.
func TestImpairedBeforeReady(t *testing.T) {
	m := NewMachine(nil)
	m.Impair(CauseResidency, "pages")
	if s := m.Standing(); s.State != Starting || s.Cause != CauseStarting {
		t.Errorf("%+v", s)
	}
	for _, s := range []State{Loading, Verifying, Registering, Ready} {
		if err := m.To(s, ""); err != nil {
			t.Fatal(err)
		}
	}
	if s := m.Standing(); s.State != Degraded || s.Cause != CauseResidency {
		t.Errorf("%+v", s)
	}
}

// Every answer that says "not ready" says why and since when, to those with a
// token and without; the reason, which may name files, goes to nobody else.
func TestNotReadyAnswersCarryTheCause(t *testing.T) {
	for _, token := range []string{"", "t"} {
		f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token = token })
		now := atClock(f.machine)
		*now = now.Add(time.Minute)
		f.machine.Impair(CauseHang, "no step in /models")
		for _, r := range []struct{ method, path, body string }{
			{"GET", "/health", ""}, {"GET", "/ready", ""}, {"GET", "/v1/ready", ""}, {"GET", "/live", ""}, {"POST", "/execute", good},
		} {
			resp := f.do(r.method, r.path, r.body, "Authorization", "Bearer t")
			got := text(t, resp)
			if !strings.Contains(got, `"cause":"hang"`) || !strings.Contains(got, `"since":"2025-11-02T08:01:00Z"`) {
				t.Errorf("%s: %d %s", r.path, resp.StatusCode, got)
			}
			if named := strings.Contains(got, "/models"); named != (token == "" && r.path == "/health") {
				t.Errorf("%s with token %q tells the reason: %v", r.path, token, named)
			}
		}
	}
}

func TestLiveAndReady(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token = "t" })
	f.machine = NewMachine(nil) // the fixture's own is ready already
	f.server.machine = f.machine
	atClock(f.machine)
	check := func(path string, status int, want string) {
		t.Helper()
		resp := f.do("GET", path, "")
		if got := text(t, resp); resp.StatusCode != status || got != want {
			t.Errorf("%s: %d %s, want %d %s", path, resp.StatusCode, got, status, want)
		}
	}
	f.enter(Loading)
	body := `{"ready":false,"state":"loading","cause":"loading","since":"2025-11-02T08:00:00Z"}`
	check("/live", 200, body)
	check("/ready", 503, body)
	f.enter(Verifying, Registering, Ready)
	body = `{"ready":true,"state":"ready","since":"2025-11-02T08:00:00Z"}`
	check("/live", 200, body)
	check("/ready", 200, body)
	f.machine.Impair(CauseHang, "")
	body = `{"ready":false,"state":"degraded","cause":"hang","since":"2025-11-02T08:00:00Z"}`
	check("/live", 200, body)
	check("/ready", 503, body)
	f.enter(Draining)
	body = `{"ready":false,"state":"draining","cause":"draining","since":"2025-11-02T08:00:00Z"}`
	check("/live", 200, body)
	check("/ready", 503, body)
	f.enter(Stopped)
	body = `{"ready":false,"state":"stopped","cause":"stopped","since":"2025-11-02T08:00:00Z"}`
	check("/live", 503, body)
	check("/ready", 503, body)
}
