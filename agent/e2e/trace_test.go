package e2e

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"llorch/agent/trace/tracetest"
	"llorch/deploy/demo/standin"
)

// Spans that wait are sent when the worker stops, and a stop waits for no collector.
func TestTracesReachTheCollectorBeforeTheExit(t *testing.T) {
	c, o := tracetest.Start(t), orchestrate(t, nil)
	f := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready"), Env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_SERVICE_NAME=stories"}})
	f.healthy()
	const caller = "4bf92f3577b34da6a3ce929d0e0e4736"
	f.get("POST", "/execute", standin.Request{JobID: "t", Prompt: "the secret phrase xyzzy", MaxTokens: 5}, "Traceparent", "00-"+caller+"-00f067aa0ba902b7-01")
	if err := f.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.exits(0, patience)
	spans := c.Spans()
	root := spans["POST /execute"]
	if len(root) != 1 || root[0].Trace() != caller || root[0].Attribute("gen_ai.usage.output_tokens") != "5" || root[0].Resource["service.name"] != "stories" {
		t.Fatalf("%v", spans)
	}
	for _, phase := range []string{"queue", "prefill", "decode"} {
		s := spans[phase]
		if len(s) != 1 || s[0].Parent() != root[0].ID() || s[0].StartTimeUnixNano < root[0].StartTimeUnixNano || s[0].EndTimeUnixNano > root[0].EndTimeUnixNano {
			t.Errorf("%s: %v, within %v", phase, s, root[0])
		}
	}
	ready := spans["orchestrator"]
	if len(ready) == 0 || o.Calls()[0].Header.Get("Traceparent") != "00-"+ready[0].Trace()+"-"+ready[0].ID()+"-01" {
		t.Errorf("the ready call: %v, %v", o.Calls()[0].Header, ready)
	}
	if strings.Contains(c.Raw(), "xyzzy") || !strings.Contains(f.LogText(), caller) {
		t.Error("the prompt was sent, or the log does not name the trace")
	}
}

// A collector that is away is one warning, and nothing else.
func TestCollectorIsAway(t *testing.T) {
	port, err := standin.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	f := spawn(t, standin.Spawn{Args: []string{"--otlp-endpoint", "http://127.0.0.1:" + strconv.Itoa(port)}})
	f.healthy()
	for range 3 {
		f.run(standin.Request{JobID: "t", Prompt: "Once", MaxTokens: 3})
	}
	if err := f.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.exits(0, patience)
	if n := strings.Count(f.LogText(), `"message":"tracing"`); n < 1 || n > 2 { // a failed batch, and the stop
		t.Errorf("%d lines about it:\n%s", n, f.LogText())
	}
}
