package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"llorch/inference"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeEngine runs a script for each request, on a goroutine as the engine's
// loop would, and keeps to what the engine guarantees: room for every event, an id
// cannot run twice, the channel closes after the last event.
type fakeEngine struct {
	script func(ctx context.Context, r inference.Request, send func(inference.Event))
	refuse error
	stats  inference.Stats

	mu       sync.Mutex
	requests []inference.Request
	running  sync.WaitGroup
}

func (f *fakeEngine) Generate(ctx context.Context, r inference.Request) (<-chan inference.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return nil, f.refuse
	}
	f.requests = append(f.requests, r)
	events := make(chan inference.Event, r.MaxTokens+1)
	f.running.Go(func() {
		defer close(events)
		f.script(ctx, r, func(e inference.Event) {
			if e.At.IsZero() {
				e.At = time.Now()
			}
			events <- e
		})
	})
	return events, nil
}

func (f *fakeEngine) Stats() inference.Stats { return f.stats }

func (f *fakeEngine) seen(t *testing.T) inference.Request {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.requests) == 0 {
		t.Fatal("no request reached the engine")
	}
	return f.requests[len(f.requests)-1]
}

// words sends each word as a token and ends well.
func words(all ...string) func(context.Context, inference.Request, func(inference.Event)) {
	return func(_ context.Context, r inference.Request, send func(inference.Event)) {
		for i, w := range all {
			send(inference.Event{Text: w, Index: i})
		}
		send(inference.Event{End: &inference.End{
			Reason: inference.StopMaxTokens, TokensIn: 3, TokensOut: len(all), Decode: 9 * time.Millisecond,
		}})
	}
}

// untilCancelled sends one token and then waits for its context, as a long
// generation does.
func untilCancelled(ctx context.Context, _ inference.Request, send func(inference.Event)) {
	send(inference.Event{Text: "x"})
	<-ctx.Done()
	send(inference.Event{Err: causeOf(ctx)})
}

var info = ModelInfo{
	Name: "mini", QuantKind: "BF16", TokenizerKind: "hf-json", VocabSize: 320, ContextLength: 256,
	FileBytes: 1000, DeviceBytes: 1500, Architecture: "ram",
}

// fixture is a server on a real socket over a fake engine.
type fixture struct {
	*httptest.Server
	t       *testing.T
	server  *Server
	machine *Machine
	log     *lockedBuffer
}

// lockedBuffer takes log lines from many goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serveFake starts a ready server; adjust may change its options.
func serveFake(t *testing.T, e *fakeEngine, adjust func(*ServerOptions)) *fixture {
	t.Helper()
	log := &lockedBuffer{}
	logger := NewLogger(log, slog.LevelDebug, false)
	m := NewMachine(logger)
	o := ServerOptions{
		Machine: m, Metrics: NewMetrics("w-1", m, time.Now()), Log: logger, WorkerID: "w-1", Model: "mini",
		WriteTimeout: 10 * time.Second, ShutdownTimeout: 4 * time.Second,
	}
	if adjust != nil {
		adjust(&o)
	}
	f := &fixture{t: t, server: NewServer(o), machine: m, log: log}
	f.Server = httptest.NewUnstartedServer(f.server.Handler())
	f.Server.Config = f.server.http
	f.Server.Start()
	t.Cleanup(func() {
		f.Server.CloseClientConnections()
		f.Server.Close()
		e.running.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	if e.stats.SlotsTotal == 0 {
		e.stats.SlotsTotal = 4
	}
	f.server.Attach(e, info)
	f.enter(Loading, Verifying, Registering, Ready)
	return f
}

func (f *fixture) enter(states ...State) {
	f.t.Helper()
	for _, s := range states {
		if err := f.machine.To(s, ""); err != nil {
			f.t.Fatal(err)
		}
	}
}

// do sends one request; headers alternate names and values.
func (f *fixture) do(method, path, body string, headers ...string) *http.Response {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := f.Client().Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

var errBoom = errors.New("boom")
