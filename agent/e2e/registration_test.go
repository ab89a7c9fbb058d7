package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// long is far above what anything here takes.
const long = 20 * time.Second

func openOrchestrator(t *testing.T, how standin.Listener) *standin.Orchestrator {
	t.Helper()
	o, err := standin.Open(how)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// metric reads one value of /metrics, −1 where there is none.
func (f *fleet) metric(name string, labels ...string) float64 {
	f.t.Helper()
	_, text := f.get("GET", "/metrics", nil)
	v, ok := standin.Sample(text, name, labels...)
	if !ok {
		return -1
	}
	return v
}

func (f *fleet) awaitMember(r *standin.Registry, what string, ok func(standin.Member) bool) {
	f.t.Helper()
	eventually(f.t, what, long, func() bool { m, known := r.Member(f.ID); return known && ok(m) })
}

// A worker that reports to everybody, signed: it proves itself, survives an orchestrator that goes away and comes back
// without its memory, works meanwhile, and says goodbye in order.
func TestRegistrationIsKept(t *testing.T) {
	port, err := standin.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "callback-secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	registry := &standin.Registry{Secret: []byte("0123456789abcdef")}
	how := standin.Listener{Port: port, Answer: registry.Answer}
	o := openOrchestrator(t, how)
	f := spawn(t, standin.Spawn{
		CallbackURL: o.URL("/v1/workers/ready"), Env: []string{"CREDENTIALS_DIRECTORY=" + filepath.Dir(secret)},
		Args: []string{"--hive-url", o.URL(""), "--queen-url", o.URL("/"), "--deregister-url", o.URL("/deregister"), "--heartbeat-interval", "100ms"},
	})
	f.healthy()
	f.awaitMember(registry, "heartbeats", func(m standin.Member) bool { return m.Beats > 3 })
	checkEvidence(t, o.Calls()[0].Body)
	checkBeats(t, f, o.Calls())
	first, _ := registry.Member(f.ID)
	if _, body := f.get("GET", "/health", nil); !strings.Contains(body, `"epoch":"`+first.Epoch+`"`) {
		t.Errorf("/health has not the epoch %s: %s", first.Epoch, body)
	}
	o.Close()
	eventually(t, "lost", long, func() bool {
		s := f.metric("llorch_registration_state")
		return (s == 3 || s == 4) && f.metric("llorch_callback_attempts_total", `outcome="unreachable"`) > 1
	})
	f.run(standin.Request{JobID: "alone", Prompt: "Once", MaxTokens: 4})
	registry.Forget()
	openOrchestrator(t, how)
	f.awaitMember(registry, "registered again", func(m standin.Member) bool { return m.Ready > 0 && m.Epoch == first.Epoch })
	eventually(t, "the metric", long, func() bool { return f.metric("llorch_registration_state") == 2 })
	registry.Forget() // a restart that no heartbeat fell into
	f.awaitMember(registry, "registered once more", func(m standin.Member) bool { return m.Ready > 0 && m.Epoch == first.Epoch })

	s := f.execute(endless("running"))
	read := f.next(s, "token")
	if err := f.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.awaitMember(registry, "draining", func(m standin.Member) bool { return m.State != "ready" })
	if _, err := s.All(read...); err != nil {
		t.Error(err)
	}
	f.exits(0, long)
	checkFarewell(t, registry, f.ID)
	if all := registry.Refused(); len(all) > 0 && strings.Contains(strings.Join(all, "\n"), "signature") {
		t.Error(all)
	}
}

func checkEvidence(t *testing.T, body []byte) {
	t.Helper()
	var b struct {
		Epoch    string
		Evidence struct {
			Resident map[string]int64 `json:"resident_bytes"`
			Digest   string           `json:"weights_digest"`
			Load     float64          `json:"load_seconds"`
			Device   string           `json:"device_name"`
		}
		Capabilities []string
	}
	if err := json.Unmarshal(body, &b); err != nil {
		t.Fatal(err)
	}
	e := b.Evidence
	if b.Epoch == "" || e.Resident["weights"] < 1<<20 || e.Resident["cache"] < 1 || e.Load <= 0 || e.Device == "" || len(b.Capabilities) == 0 {
		t.Errorf("%s", body)
	}
}

// checkBeats holds the heartbeats against the bodies that their receivers know.
func checkBeats(t *testing.T, f *fleet, calls []standin.Call) {
	t.Helper()
	found := map[string]string{}
	for _, c := range calls {
		found[c.Path] = string(c.Body)
	}
	const at = `"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"`
	for path, want := range map[string]string{
		"/v1/heartbeat": `^\{"worker_id":"w-test",` + at + `,"health_status":"healthy"\}$`,
		"/v1/worker-heartbeat": `^\{"worker":\{"id":"w-test","model_id":"[^"]+","device":"cpu:0","port":\d+,"status":"ready",` +
			`"implementation":"llorch-cpu","version":"[^"]*"\},` + at + `\}$`,
	} {
		if !regexp.MustCompile(want).MatchString(found[path]) {
			t.Errorf("%s: %s", path, found[path])
		}
	}
}

func checkFarewell(t *testing.T, r *standin.Registry, id string) {
	t.Helper()
	m, _ := r.Member(id)
	var report struct {
		Epoch, State   string
		Completed, Cut *int
		Refused        *int
		Seconds        float64
	}
	if err := json.Unmarshal(m.Report, &report); err != nil {
		t.Fatalf("%s: %v", m.Report, err)
	}
	if report.Epoch != m.Epoch || report.State != "drained" || report.Completed == nil || report.Refused == nil || report.Cut == nil ||
		*report.Completed+*report.Cut != 1 || report.Seconds <= 0 {
		t.Errorf("%s", m.Report)
	}
}

// An orchestrator that gives the identity to another process ends this one: it drains, says why, leaves the other
// alone, and has an exit status of its own.
func TestDeregisteredWorkerDrainsAndExits(t *testing.T) {
	registry := &standin.Registry{}
	o := openOrchestrator(t, standin.Listener{Answer: registry.Answer})
	args := []string{"--hive-url", o.URL(""), "--deregister-url", o.URL("/deregister"), "--heartbeat-interval", "100ms"}
	f := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready"), Args: append(args, "--shutdown-timeout", "2s")})
	f.healthy()
	second := spawn(t, standin.Spawn{ID: f.ID, CallbackURL: o.URL("/ready"), Args: args})
	second.exits(1, long)
	if status, body := f.get("GET", "/ready", nil); status != http.StatusOK {
		t.Fatalf("the first worker with the identity: %d %s", status, body)
	}
	s := f.execute(endless("running"))
	read := f.next(s, "token")
	registry.Take(f.ID, "another")
	if _, err := s.All(read...); err != nil {
		t.Error(err)
	}
	f.exits(5, long)
	if !strings.Contains(f.LogText(), `"cause":"deregistered"`) {
		t.Error("the cause is not in the log")
	}
	if m, _ := registry.Member(f.ID); m.Epoch != "another" || m.State != "ready" {
		t.Errorf("the other process's registration is %+v", m)
	}
	for _, c := range o.Calls() {
		if c.Path == "/deregister" {
			t.Errorf("a worker without an identity says goodbye: %s", c.Body)
		}
	}
}

// The first registration is bounded by the window, or by nothing.
func TestSpawnWindow(t *testing.T) {
	port, err := standin.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	how := standin.Listener{Port: port, Answer: func(int, standin.Call) int { return 503 }}
	o := openOrchestrator(t, how)
	bounded := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready"), Args: []string{"--spawn-window", "200ms"}})
	bounded.exits(1, long)
	endless := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready"), Args: []string{"--spawn-window", "0s"}})
	seen := len(o.Calls())
	eventually(t, "more attempts", long, func() bool { return len(o.Calls()) > seen+2 })
	if status, body := endless.get("GET", "/ready", nil); status != http.StatusServiceUnavailable || !strings.Contains(body, `"cause":"registering"`) {
		t.Errorf("%d %s", status, body)
	}
	o.Close()
	how.Answer = nil
	openOrchestrator(t, how)
	endless.healthy()
}

// An orchestrator that never answers cannot hold a stop up.
func TestSilentFarewellDoesNotDelayTheStop(t *testing.T) {
	silent, err := standin.ListenSilent(0)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	o := orchestrate(t, nil)
	f := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready"), Args: []string{"--deregister-url", silent.URL("/deregister"), "--callback-timeout", "1m"}})
	f.healthy()
	if err := f.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.exits(0, long)
	line, ok := f.Find("shutdown")
	if !ok {
		t.Fatal("no report")
	}
	// The worker's own clock: 0.7 s at most for the last word, and what closing takes. Much less than the call would.
	if ms, _ := line.Fields["duration_ms"].(float64); silent.Accepted() == 0 || ms > 10_000 {
		t.Errorf("%d calls, %v ms", silent.Accepted(), line.Fields["duration_ms"])
	}
}
