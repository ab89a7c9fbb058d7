package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	// Not called: it makes the cache of test results depend on the worker's code.
	_ "llorch/agent/cli"
	"llorch/deploy/demo/standin"
)

const model = "../../deploy/demo/model"

var (
	// binary is the worker, built once from this tree.
	binary     string
	buildFlags = []string{"build"}
)

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "llorch-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "llorch-cpu")
	args := append(buildFlags, "-o", binary, "llorch/agent/cmd/llorch")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go %v: %v\n%s", args, err, out)
		return 1
	}
	return m.Run()
}

// fleet is an orchestrator and the worker it spawned.
type fleet struct {
	t *testing.T
	*standin.Worker
	orchestrator *standin.Orchestrator
}

// orchestrate starts an orchestrator that ends with the test.
func orchestrate(t *testing.T, answer func(int, standin.Call) int) *standin.Orchestrator {
	t.Helper()
	o, err := standin.Listen(0, answer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// spawn starts a worker without waiting for it.
func spawn(t *testing.T, s standin.Spawn) *fleet {
	t.Helper()
	s.Bin = binary
	if s.Model == "" {
		s.Model = model
	}
	if s.ID == "" {
		s.ID = "w-test"
	}
	w, err := standin.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", s.ID, w.LogText())
		}
	})
	return &fleet{t: t, Worker: w}
}

// ready starts a registered worker with more flags.
func ready(t *testing.T, args ...string) *fleet {
	t.Helper()
	o := orchestrate(t, nil)
	f := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready"), Args: args})
	f.orchestrator = o
	f.healthy()
	return f
}

func (f *fleet) healthy() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	if err := f.WaitHealthy(ctx); err != nil {
		f.t.Fatal(err)
	}
}

// line waits for a line of the log: the last one with this message.
func (f *fleet) line(message string) standin.LogLine {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	l, err := f.WaitLine(ctx, message)
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

// wholeLog ends the worker and returns all it has logged.
func (f *fleet) wholeLog() string {
	f.t.Helper()
	if err := f.Signal(syscall.SIGTERM); err != nil {
		f.t.Fatal(err)
	}
	f.exits(0, 20*time.Second)
	return f.LogText()
}

// get sends one request and returns status and body.
func (f *fleet) get(method, path string, body any, headers ...string) (int, string) {
	f.t.Helper()
	status, _, text, err := f.Do(f.t.Context(), method, path, body, headers...)
	if err != nil {
		f.t.Fatal(err)
	}
	return status, string(text)
}

// run executes a request to its end.
func (f *fleet) run(r standin.Request) []standin.Frame {
	f.t.Helper()
	all, err := f.execute(r).All()
	if err != nil {
		f.t.Fatal(err)
	}
	return all
}

func (f *fleet) execute(r standin.Request) *standin.Stream {
	f.t.Helper()
	s, err := f.Execute(f.t.Context(), "", r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(s.Close)
	return s
}

// exits checks the exit status.
func (f *fleet) exits(want int, limit time.Duration) {
	f.t.Helper()
	if got, err := f.Wait(limit); err != nil || got != want {
		f.t.Fatalf("exit status %d, want %d (%v)", got, want, err)
	}
}

// next reads frames until one of the given type.
func (f *fleet) next(s *standin.Stream, kind string) []standin.Frame {
	f.t.Helper()
	var all []standin.Frame
	for {
		frame, err := s.Next()
		if err != nil {
			f.t.Fatalf("no %s frame: %v", kind, err)
		}
		all = append(all, frame)
		if frame.Type == kind {
			return all
		}
	}
}

// state is the word of /v1/ready.
func (f *fleet) state() string {
	f.t.Helper()
	_, body := f.get("GET", "/v1/ready", nil)
	var r struct{ State string }
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		f.t.Fatal(err)
	}
	return r.State
}

func eventually(t *testing.T, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", limit, what)
}

func seed(n uint64) *uint64 { return &n }

// story is a request that runs for some hundred tokens.
func story(id string, n uint64) standin.Request {
	return standin.Request{JobID: id, Prompt: "Once upon a time", MaxTokens: 300, Temperature: 0.9, Seed: seed(n)}
}

// endless is a request that runs to its last token: a penalty below 1 favours
// what was said before, so the text goes in circles and never ends itself.
func endless(id string) standin.Request {
	favour := 0.3
	return standin.Request{JobID: id, Prompt: "Once upon a time", MaxTokens: 2000, RepetitionPenalty: &favour}
}
