package trace

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"llorch/agent/trace/tracetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal is a log that goroutines write.
type journal struct {
	mu sync.Mutex
	b  strings.Builder
}

func (j *journal) Write(p []byte) (int, error) { j.mu.Lock(); defer j.mu.Unlock(); return j.b.Write(p) }
func (j *journal) String() string              { j.mu.Lock(); defer j.mu.Unlock(); return j.b.String() }

func open(t *testing.T, o Options) (*Tracer, *journal) {
	t.Helper()
	log := &journal{}
	o.WorkerID, o.Version, o.Log = "w-1", "v1.2", slog.New(slog.NewTextHandler(log, nil))
	tracer, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return tracer, log
}

func TestNothingIsMadeUnlessAskedFor(t *testing.T) {
	for _, c := range []struct {
		flag    string
		environ []string
		on      bool
	}{
		{"", nil, false},
		{"", []string{"OTEL_SERVICE_NAME=x", "OTEL_EXPORTER_OTLP_ENDPOINT="}, false},
		{"", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"}, true},
		{"", []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:1/v1/traces"}, true},
		{"http://127.0.0.1:1", nil, true},
		{"http://127.0.0.1:1", []string{"OTEL_SDK_DISABLED=true"}, false},
		{"http://127.0.0.1:1", []string{"OTEL_TRACES_EXPORTER=none"}, false},
	} {
		tracer, _ := open(t, Options{Endpoint: c.flag, Environ: c.environ})
		if (tracer != nil) != c.on {
			t.Errorf("%+v: %v", c, tracer)
		}
		if err := tracer.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestNilTracerWorks(t *testing.T) {
	var tracer *Tracer
	r := tracer.Request(t.Context(), http.Header{}, "POST", "/execute")
	r.Asked(Generation{})
	r.FirstToken(time.Now())
	r.Ended(Outcome{})
	r.End(200)
	h := http.Header{}
	tracer.Call(t.Context(), "register", h)(nil)
	if r != nil || r.TraceID() != "" || len(h) != 0 {
		t.Error(r, h)
	}
}

func TestRequestAndItsPhases(t *testing.T) {
	c := tracetest.Start(t)
	tracer, log := open(t, Options{Endpoint: c.URL + "/"})
	caller := http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	r := tracer.Request(t.Context(), caller, "POST", "/execute")
	r.Asked(Generation{JobID: "j", CorrelationID: "c", Model: "mini", MaxTokens: 9, Temperature: 0.5, TopP: 1, Seed: 1<<64 - 1})
	arrived := time.Unix(1_700_000_000, 0)
	r.Ended(Outcome{Finished: "STOP_SEQUENCE", TokensIn: 3, TokensOut: 5, Arrived: arrived,
		Queued: time.Second, Prefill: 2 * time.Second, Decode: 5 * time.Second})
	r.End(200)
	if r.TraceID() != "0af7651916cd43dd8448eb211c80319c" || !strings.HasPrefix(r.Response(), "00-0af7651916cd43dd8448eb211c80319c-") {
		t.Errorf("%s %s", r.TraceID(), r.Response())
	}
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err, log)
	}
	spans := c.Spans()
	root := spans["POST /execute"]
	if len(root) != 1 || root[0].Parent() != "b7ad6b7169203331" || root[0].Kind.String() != "SPAN_KIND_SERVER" || root[0].Status.GetCode() != 0 {
		t.Fatalf("%v", spans)
	}
	for name, want := range map[string]string{
		"http.request.method": "POST", "http.route": "/execute", "http.response.status_code": "200", "gen_ai.operation.name": "text_completion",
		"gen_ai.request.model": "mini", "gen_ai.request.max_tokens": "9", "gen_ai.request.temperature": "0.5", "gen_ai.request.top_k": "",
		"gen_ai.usage.input_tokens": "3", "gen_ai.usage.output_tokens": "5", "gen_ai.response.finish_reasons": "[stop]",
		"llorch.job_id": "j", "llorch.correlation_id": "c", "error.type": "",
	} {
		if got := root[0].Attribute(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"service.name": "llorch", "service.version": "v1.2", "service.instance.id": "w-1"} {
		if got := root[0].Resource[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	at := uint64(arrived.UnixNano())
	for name, span := range map[string][2]uint64{"queue": {0, 1}, "prefill": {1, 3}, "decode": {3, 6}} {
		s := spans[name]
		if len(s) != 1 || s[0].Parent() != root[0].ID() || s[0].StartTimeUnixNano != at+span[0]*1e9 || s[0].EndTimeUnixNano != at+span[1]*1e9 {
			t.Errorf("%s: %v", name, s)
		}
	}
}

func TestOutcomesThatAreErrors(t *testing.T) {
	c := tracetest.Start(t)
	tracer, _ := open(t, Options{Environ: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=x"}, Endpoint: c.URL})
	for route, end := range map[string]func(*Request){
		"/failed":    func(r *Request) { r.Ended(Outcome{Error: "INFERENCE_FAILED", TokensOut: 2}); r.End(200) },
		"/cancelled": func(r *Request) { r.Ended(Outcome{Error: "CANCELLED"}); r.End(200) },
		"/busy":      func(r *Request) { r.End(503) },
		"/wrong":     func(r *Request) { r.End(400) },
	} {
		end(tracer.Request(t.Context(), http.Header{}, "POST", route))
	}
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for route, want := range map[string]struct {
		kind   string
		failed bool
	}{"/failed": {"INFERENCE_FAILED", true}, "/cancelled": {"CANCELLED", false}, "/busy": {"503", true}, "/wrong": {"", false}} {
		s := c.Spans()["POST "+route]
		if len(s) != 1 || s[0].Attribute("error.type") != want.kind || (s[0].Status.GetCode() == 2) != want.failed {
			t.Errorf("%s: %v", route, s)
		}
	}
}

func TestOutgoingCallsCarryTheTrace(t *testing.T) {
	c := tracetest.Start(t)
	tracer, _ := open(t, Options{Endpoint: c.URL})
	h := http.Header{}
	tracer.Call(t.Context(), "register", h)(errors.New("refused"))
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := c.Spans()["register"]
	if len(s) != 1 || h.Get("Traceparent") != "00-"+s[0].Trace()+"-"+s[0].ID()+"-01" || s[0].Kind.String() != "SPAN_KIND_CLIENT" || s[0].Status.GetCode() != 2 {
		t.Errorf("%v %v", h, s)
	}
}

// A collector that takes connections and never answers costs spans, no request's time, and no stop's.
func TestCollectorThatHangs(t *testing.T) {
	release := make(chan struct{})
	hung := make(chan struct{}, 64)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		hung <- struct{}{}
		<-release
	}))
	defer s.Close()
	defer close(release)
	tracer, _ := open(t, Options{Endpoint: s.URL})
	for range 5000 { // more than the queue holds
		tracer.Request(t.Context(), http.Header{}, "POST", "/execute").End(200)
	}
	<-hung
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tracer.Close(ctx); !errors.Is(err, context.DeadlineExceeded) { // while the collector still hangs
		t.Errorf("%v", err)
	}
}

func TestCollectorThatIsAwayDoesNotFillTheLog(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "5") // ms
	tracer, log := open(t, Options{Endpoint: "http://" + l.Addr().String()})
	ask := func() { tracer.Request(t.Context(), http.Header{}, "POST", "/execute").End(200) }
	for end := time.Now().Add(10 * time.Second); log.String() == "" && time.Now().Before(end); time.Sleep(time.Millisecond) {
		ask()
	}
	for range 50 { // as many failures more, or fewer
		ask()
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_ = tracer.Close(ctx) // fails or not, by whether a batch waits
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log)
	}
}

func TestFailuresAreLoggedOnceAMinute(t *testing.T) {
	now, log := time.Unix(0, 0), &journal{}
	h := failures(slog.New(slog.NewTextHandler(log, nil)), func() time.Time { return now })
	for range 180 {
		h.Handle(errors.New("refused"))
		now = now.Add(time.Second)
	}
	if got := log.String(); strings.Count(got, "refused") != 3 || strings.Count(got, "failures_not_logged=59") != 2 {
		t.Error(got)
	}
}
