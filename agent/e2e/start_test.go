package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// The worker is reachable but not ready while it registers, says the three
// things of the first profile and nothing else, and is ready after the answer.
func TestCallbackComesBetweenBindAndReady(t *testing.T) {
	seen := map[string]int{}
	o := orchestrate(t, func(_ int, c standin.Call) int {
		var b struct{ URI string }
		_ = json.Unmarshal(c.Body, &b)
		for path, send := range map[string]func(string) (*http.Response, error){
			"/health": http.Get,
			"/execute": func(u string) (*http.Response, error) {
				return http.Post(u, "application/json", strings.NewReader(`{}`))
			},
		} {
			if resp, err := send(b.URI + path); err == nil {
				seen[path] = resp.StatusCode
				resp.Body.Close()
			}
		}
		return 200
	})
	f := spawn(t, standin.Spawn{ID: "w-17", CallbackURL: o.URL("/pool/ready")})
	f.healthy()
	if seen["/health"] != 503 || seen["/execute"] != 503 {
		t.Errorf("while registering: %v, want 503 and 503", seen)
	}
	calls := o.Calls()
	want := fmt.Sprintf(`{"worker_id":"w-17","vram_bytes":%d,"uri":"http://localhost:%d"}`, weightBytes(t), f.Port)
	if len(calls) != 1 || calls[0].Path != "/pool/ready" || string(calls[0].Body) != want {
		t.Errorf("calls %+v, want one with %s", calls, want)
	}
	if f.state() != "idle" {
		t.Errorf("state %s", f.state())
	}
}

func weightBytes(t *testing.T) (total int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(model, "*.safetensors"))
	if err != nil || len(files) == 0 {
		t.Fatal("no weights", err)
	}
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		total += st.Size()
	}
	return total
}

func TestCallbackProfilesByPath(t *testing.T) {
	for path, fields := range map[string][]string{
		"/v2/internal/workers/ready": {"worker_id", "vram_bytes", "uri", "model_ref", "memory_bytes", "memory_architecture", "worker_type", "capabilities"},
		"/v1/workers/ready":          {"worker_id", "url", "model_ref", "backend", "device"},
	} {
		o := orchestrate(t, nil)
		f := spawn(t, standin.Spawn{CallbackURL: o.URL(path), Args: []string{"--model-ref=hf:acme/mini", "--backend", "cpu", "--device", "0"},
			Env: []string{"LLORCH_API_TOKEN=s3cret"}})
		f.healthy()
		call := o.Calls()[0]
		var b map[string]any
		if err := json.Unmarshal(call.Body, &b); err != nil {
			t.Fatal(err)
		}
		for _, k := range fields {
			if b[k] == nil {
				t.Errorf("%s: no %s in %s", path, k, call.Body)
			}
		}
		if b["model_ref"] != "hf:acme/mini" || call.Header.Get("Authorization") != "Bearer s3cret" {
			t.Errorf("%s: %s %v", path, call.Body, call.Header)
		}
	}
}

func TestCallbackIsRepeatedUntilAccepted(t *testing.T) {
	o := orchestrate(t, func(n int, _ standin.Call) int { return []int{503, 500, 200}[min(n, 2)] })
	f := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready")})
	f.healthy()
	if n := len(o.Calls()); n != 3 {
		t.Errorf("%d calls after two 5xx", n)
	}
}

func TestCallbackWaitsForTheOrchestrator(t *testing.T) {
	port, err := standin.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	f := spawn(t, standin.Spawn{CallbackURL: fmt.Sprintf("http://127.0.0.1:%d/ready", port)})
	eventually(t, "a failed attempt is logged", 20*time.Second, func() bool { return strings.Contains(f.LogText(), "refused") })
	o, err := standin.Listen(port, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	f.healthy()
	if n := len(o.Calls()); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestRefusedCallbackEndsTheWorker(t *testing.T) {
	o := orchestrate(t, func(int, standin.Call) int { return 422 })
	f := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready")})
	f.exits(1, 20*time.Second)
	if n := len(o.Calls()); n != 1 {
		t.Errorf("a 4xx was repeated: %d calls", n)
	}
}

func TestTrialURLWithoutAnybody(t *testing.T) {
	if c, err := net.Dial("tcp", "localhost:9999"); err == nil {
		c.Close()
		t.Skip("somebody listens on port 9999")
	}
	f := spawn(t, standin.Spawn{CallbackURL: "http://localhost:9999"})
	f.healthy()
	if line := f.line("callback_nobody"); line.Level != "WARN" {
		t.Errorf("no warning: %+v", line)
	}
}

func TestStartErrors(t *testing.T) {
	o := orchestrate(t, nil)
	empty := t.TempDir()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, c := range map[string]struct {
		spawn standin.Spawn
		says  []string
	}{
		"no such model": {standin.Spawn{Model: "/nonexistent/model"}, []string{"/nonexistent/model"}},
		"empty folder":  {standin.Spawn{Model: empty}, []string{empty}},
		"port in use":   {standin.Spawn{Port: l.Addr().(*net.TCPAddr).Port}, []string{"listen on", "in use"}},
		"no memory": {standin.Spawn{Args: []string{"--kv-cache-mb", "40000000"}},
			[]string{"required", "available", "cpu:0", "deploy/demo/model"}},
		"device not built": {standin.Spawn{Args: []string{"--device", "cuda:0"}}, []string{"cuda:0", "cpu"}},
	} {
		c.spawn.CallbackURL = o.URL("/ready")
		f := spawn(t, c.spawn)
		f.exits(1, 20*time.Second)
		for _, word := range c.says {
			if !strings.Contains(f.LogText(), word) {
				t.Errorf("%s: %q is not in the log:\n%s", name, word, f.LogText())
			}
		}
		if _, err := f.Log(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if calls := o.Calls(); len(calls) > 0 {
		t.Errorf("a failed start called back: %+v", calls)
	}
}

// What a spawner and a person see of the start: every step in the log, in the
// agreed shape, and load progress in quarters.
func TestStartIsLogged(t *testing.T) {
	f := ready(t)
	f.line("ready")
	lines, err := f.Log()
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	var quarters []any
	for _, l := range lines {
		m := fmt.Sprint(l.Fields["message"])
		events = append(events, m)
		if m == "model_load_progress" {
			quarters = append(quarters, l.Fields["percent"])
		}
		if l.Fields["worker_id"] != "w-test" {
			t.Errorf("%s without the worker's id", m)
		}
	}
	if fmt.Sprint(quarters) != "[0 25 50 75 100]" {
		t.Errorf("progress %v", quarters)
	}
	order := regexp.MustCompile(`startup.* listening.* model_load_start.* memory_plan.* model_load_complete.* resident.* callback_ready.* ready`)
	if all := strings.Join(events, " "); !order.MatchString(all) {
		t.Errorf("order: %s", all)
	}
}

// A stop that comes while the orchestrator does not answer ends the worker as
// a stop, not as a failure.
func TestStopWhileRegistering(t *testing.T) {
	hold := make(chan struct{})
	o := orchestrate(t, func(int, standin.Call) int { <-hold; return 200 })
	defer close(hold)
	f := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready")})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := o.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	f.exits(0, 5*time.Second)
}

// The fields of these lines are part of the wire: managers read them.
func TestStartLinesHaveTheirFields(t *testing.T) {
	f := ready(t)
	for line, fields := range map[string][]string{
		"startup":             {"worker_id", "model", "port", "backend"},
		"model_load_complete": {"architecture", "vocab_size", "tokenizer_vocab", "model_size_mb"},
		"callback_ready":      {"callback_url", "worker_id", "vram_bytes"},
	} {
		found := f.line(line)
		for _, name := range fields {
			if v := found.Fields[name]; v == nil || v == "" {
				t.Errorf("%s: %s is %v", line, name, v)
			}
		}
	}
}
