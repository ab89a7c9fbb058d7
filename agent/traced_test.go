package agent

import (
	"context"
	"strings"
	"testing"

	"llorch/agent/trace"
	"llorch/agent/trace/tracetest"
	"llorch/inference"
)

// traceFake is a fake's server whose spans go to a collector. flush sends them.
func traceFake(t *testing.T, e *fakeEngine, adjust func(*ServerOptions)) (f *fixture, c *tracetest.Collector, flush func()) {
	t.Helper()
	c = tracetest.Start(t)
	var tracer *trace.Tracer
	f = serveFake(t, e, func(o *ServerOptions) {
		var err error
		if tracer, err = trace.Open(t.Context(), trace.Options{Endpoint: c.URL, WorkerID: "w-1", Log: o.Log}); err != nil {
			t.Fatal(err)
		}
		o.Trace = tracer
		if adjust != nil {
			adjust(o)
		}
	})
	return f, c, func() {
		t.Helper()
		if err := tracer.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARequestIsTraced(t *testing.T) {
	const caller = "4bf92f3577b34da6a3ce929d0e0e4736"
	f, c, flush := traceFake(t, &fakeEngine{script: words("the ", "answer")}, nil)
	resp := f.do("POST", "/execute", `{"job_id":"j1","prompt":"xyzzy","max_tokens":4,"seed":7}`, "Traceparent", "00-"+caller+"-00f067aa0ba902b7-01", "X-Correlation-ID", "c-1")
	text(t, resp)
	if got := resp.Header.Get("Traceresponse"); !strings.HasPrefix(got, "00-"+caller+"-") {
		t.Errorf("Traceresponse: %q", got)
	}
	for _, path := range []string{"/health", "/live", "/metrics", "/nope"} {
		if got := f.do("GET", path, "").Header.Get("Traceresponse"); got != "" {
			t.Errorf("%s is traced: %s", path, got)
		}
	}
	eventually(t, "the request has ended", f.idle)
	eventually(t, "its log line has the trace's id", func() bool {
		return strings.Count(f.log.String(), `"trace_id":"`+caller+`"`) == 2
	})
	f.Server.CloseClientConnections()
	f.Server.Close() // its handlers have returned, so their spans have ended
	flush()
	spans := c.Spans()
	root := spans["POST /execute"]
	if len(spans) != 4 || len(root) != 1 || root[0].Trace() != caller || root[0].Parent() != "00f067aa0ba902b7" {
		t.Fatalf("%v", spans)
	}
	for name, want := range map[string]string{
		"gen_ai.usage.input_tokens": "3", "gen_ai.usage.output_tokens": "2", "gen_ai.request.seed": "7", "gen_ai.response.finish_reasons": "[length]",
		"llorch.correlation_id": "c-1", "http.response.status_code": "200",
	} {
		if got := root[0].Attribute(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(root[0].Events) != 1 || root[0].Events[0].Name != "first token" {
		t.Errorf("%v", root[0].Events)
	}
	for _, secret := range []string{"xyzzy", "answer"} {
		if strings.Contains(c.Raw(), secret) {
			t.Errorf("%q was sent to the collector", secret)
		}
	}
}

func TestRefusalsAndFailuresAreTraced(t *testing.T) {
	e := &fakeEngine{script: func(_ context.Context, _ inference.Request, send func(inference.Event)) {
		send(inference.Event{Err: &inference.Error{Code: inference.CodeInferenceFailed, Err: errBoom}})
	}}
	f, c, flush := traceFake(t, e, func(o *ServerOptions) { o.Token = "s3cret" })
	text(t, f.do("POST", "/execute", good, "Authorization", "Bearer s3cret"))
	f.do("POST", "/execute", good)
	f.do("POST", "/cancel/j", "", "Authorization", "Bearer s3cret")
	f.Server.CloseClientConnections()
	f.Server.Close()
	flush()
	got := map[string]bool{}
	for name, all := range c.Spans() {
		for _, s := range all {
			got[name+" "+s.Attribute("http.response.status_code")+" "+s.Attribute("error.type")] = true
		}
	}
	for _, want := range []string{"POST /execute 200 INFERENCE_FAILED", "POST /execute 401 ", "POST /cancel/:id 202 "} {
		if !got[want] {
			t.Errorf("no %q in %v", want, got)
		}
	}
	if strings.Contains(c.Raw(), "s3cret") {
		t.Error("the token was sent to the collector")
	}
}
