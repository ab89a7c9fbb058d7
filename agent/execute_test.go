package agent

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"llorch/inference"
)

const good = `{"job_id":"j1","prompt":"hi","max_tokens":4}`

// TestTranscript compares a whole answer with bytes written by hand.
func TestTranscript(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words(" sky", "[x]", "")}, func(o *ServerOptions) {
		o.Now = func() time.Time { return time.Unix(1762070400, 0) }
	})
	want := `data: {"type":"started","job_id":"j1","model":"mini","started_at":"2025-11-02T08:00:00Z"}

data: {"type":"token","t":" sky","i":0}

data: {"type":"token","t":"\u005bx]","i":1}

data: {"type":"token","t":"","i":2}

data: {"type":"end","tokens_out":3,"decode_time_ms":9,"stop_reason":"MAX_TOKENS"}

`
	for path, end := range map[string]string{"/execute": "", "/v1/inference": "data: [DONE]\n\n"} {
		resp := f.do("POST", path, good)
		if got := text(t, resp); got != want+end {
			t.Errorf("%s:\n%s", path, got)
		}
		h := resp.Header
		if resp.StatusCode != 200 || h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", path, resp.StatusCode, h)
		}
	}
}

func TestStartedComesBeforeTheFirstToken(t *testing.T) {
	gate := make(chan struct{})
	e := &fakeEngine{script: func(ctx context.Context, r inference.Request, send func(inference.Event)) {
		<-gate
		words("x")(ctx, r, send)
	}}
	f := serveFake(t, e, nil)
	resp := f.do("POST", "/execute", good)
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, `data: {"type":"started"`) {
		t.Errorf("%q %v", line, err)
	}
	close(gate)
}

func TestRequestReachesTheEngineWhole(t *testing.T) {
	e := &fakeEngine{script: words("x")}
	f := serveFake(t, e, nil)
	text(t, f.do("POST", "/execute", `{"job_id":"j","prompt":"p q","max_tokens":9,"temperature":0.5,"seed":7,"top_p":0.25,"top_k":3,
		"repetition_penalty":1.25,"stop":["a","b"],"min_p":0.125}`))
	r := e.seen(t)
	p := r.Sampling
	if r.ID == "" || r.Prompt != "p q" || r.MaxTokens != 9 || len(r.Stop) != 2 || p.Temperature != 0.5 || p.Seed != 7 ||
		p.TopP != 0.25 || p.TopK != 3 || p.RepetitionPenalty != 1.25 || p.MinP != 0.125 {
		t.Errorf("%+v", r)
	}
}

func TestSeedIsDrawnAndLogged(t *testing.T) {
	e := &fakeEngine{script: words("x")}
	f := serveFake(t, e, nil)
	seeds := map[uint64]bool{}
	for range 3 {
		text(t, f.do("POST", "/execute", good))
		seed := e.seen(t).Sampling.Seed
		seeds[seed] = true
		if !strings.Contains(f.log.String(), fmt.Sprintf(`"seed":%d`, seed)) {
			t.Errorf("seed %d is not in the log", seed)
		}
	}
	if len(seeds) != 3 {
		t.Errorf("seeds %v", seeds)
	}
}

func TestPromptAndTextAreNotLogged(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("plugh")}, nil)
	text(t, f.do("POST", "/execute", `{"job_id":"j","prompt":"xyzzy","max_tokens":4,"stop":["quux"]}`))
	eventually(t, "the end is logged", func() bool { return strings.Contains(f.log.String(), "execute_end") })
	for _, secret := range []string{"xyzzy", "plugh", "quux"} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

func TestErrorEventsBecomeOneTerminalFrame(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"typed": {&inference.Error{Code: inference.CodeOutOfMemory, Retriable: true, Err: errBoom},
			`data: {"type":"error","code":"VRAM_OOM","message":"boom","retriable":true}`},
		"bare":   {errBoom, `data: {"type":"error","code":"INFERENCE_FAILED","message":"boom","retriable":true}`},
		"no end": {nil, `data: {"type":"error","code":"INFERENCE_FAILED","message":"the engine ended the stream without a last event","retriable":true}`},
	} {
		f := serveFake(t, &fakeEngine{script: func(_ context.Context, _ inference.Request, send func(inference.Event)) {
			send(inference.Event{Text: "a"})
			if c.err != nil {
				send(inference.Event{Err: c.err})
			}
		}}, nil)
		got := text(t, f.do("POST", "/execute", good))
		blocks := strings.Split(strings.TrimSpace(got), "\n\n")
		if blocks[len(blocks)-1] != c.want || strings.Count(got, `"type":"error"`) != 1 {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

func TestMetricsFramesInLongStreams(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: func(ctx context.Context, r inference.Request, send func(inference.Event)) {
		send(inference.Event{Text: "a"})
		time.Sleep(metricsEvery + 200*time.Millisecond)
		send(inference.Event{End: &inference.End{Reason: inference.StopEOS, TokensOut: 1}})
	}}, nil)
	got := text(t, f.do("POST", "/execute", good))
	if n := strings.Count(got, `{"type":"metrics","tokens_per_sec":`); n != 1 {
		t.Errorf("%d metrics frames:\n%s", n, got)
	}
}

func TestRefusalsOfTheEngine(t *testing.T) {
	cases := []struct {
		err    error
		status int
		code   string
	}{
		{&inference.Error{Code: inference.CodeInvalidRequest, Field: "prompt", Err: fmt.Errorf("%w: 300 of 256 tokens", inference.ErrTooLong)}, 400, ""},
		{&inference.Error{Code: inference.CodeUnhealthy, Err: inference.ErrBusy}, 503, "ALL_SLOTS_BUSY"},
		{&inference.Error{Code: inference.CodeUnhealthy, Err: inference.ErrBusyTokens}, 503, "ALL_SLOTS_BUSY"},
		{&inference.Error{Code: inference.CodeInvalidRequest, Err: inference.ErrDuplicate}, 409, "INVALID_REQUEST"},
		{&inference.Error{Code: inference.CodeUnhealthy, Err: inference.ErrDraining}, 503, "WORKER_UNHEALTHY"},
		{inference.ErrClosed, 503, "WORKER_UNHEALTHY"},
		{&inference.Error{Code: inference.CodeUnhealthy, Err: errBoom}, 503, "WORKER_UNHEALTHY"},
		{&inference.Error{Code: inference.CodeInferenceFailed, Err: errBoom}, 500, "INFERENCE_FAILED"},
		{errBoom, 500, "INTERNAL"},
	}
	for _, c := range cases {
		f := serveFake(t, &fakeEngine{refuse: c.err, stats: inference.Stats{SlotsTotal: 4, SlotsBusy: 3}}, nil)
		resp := f.do("POST", "/execute", good)
		body := text(t, resp)
		if resp.StatusCode != c.status || c.code != "" && !strings.Contains(body, `{"error":{"code":"`+c.code+`"`) {
			t.Errorf("%v: %d %s", c.err, resp.StatusCode, body)
		}
		switch c.code {
		case "":
			if !strings.Contains(body, `{"errors":[{"field":"prompt","constraint":"context_length(256)","message":"prompt: `) {
				t.Error(body)
			}
		case "ALL_SLOTS_BUSY":
			if !strings.Contains(body, `"slots_total":4,"slots_busy":3}}`) || resp.Header.Get("Retry-After") != "1" {
				t.Error(body, resp.Header)
			}
		}
		if s, _ := f.machine.State(); s != Ready {
			t.Errorf("%v after a refusal", s)
		}
	}
}

func TestSameJobTwice(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: untilCancelled}, nil)
	first := f.do("POST", "/execute", good)
	if resp := f.do("POST", "/execute", good); resp.StatusCode != http.StatusConflict {
		t.Errorf("second: %d %s", resp.StatusCode, text(t, resp))
	}
	f.do("POST", "/cancel", `{"job_id":"j1"}`)
	text(t, first)
	again := f.do("POST", "/execute", good) // the id is free as soon as the last frame was read
	if again.StatusCode != 200 {
		t.Errorf("again: %d", again.StatusCode)
	}
	f.do("POST", "/cancel", `{"job_id":"j1"}`)
	text(t, again)
}

func TestPanicEndsTheStreamOnce(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	f.server.metrics.generated = nil // the handler trips over it at the first token
	got := text(t, f.do("POST", "/execute", good))
	if !strings.HasSuffix(got, `data: {"type":"error","code":"INFERENCE_FAILED","message":"internal error","retriable":true}`+"\n\n") {
		t.Errorf("%s", got)
	}
	if s, _ := f.machine.State(); s != Ready {
		t.Errorf("%v after a panic", s)
	}
	if n := valueOf(t, f.scrape(), "llorch_handler_panics_total", ""); n != 1 {
		t.Errorf("%v panics counted", n)
	}
}

// BenchmarkStream is the cost of HTTP and SSE for a token over a real socket:
// the engine makes the next token only when the client has read the last, so
// that no two share a write. It is the whole way: server, kernel, client.
func BenchmarkStream(b *testing.B) {
	const tokens = 1000
	read := make(chan struct{}, 1)
	e := &fakeEngine{script: func(_ context.Context, _ inference.Request, send func(inference.Event)) {
		for i := range tokens {
			send(inference.Event{Text: " house", Index: i})
			<-read
		}
		send(inference.Event{End: &inference.End{Reason: inference.StopMaxTokens, TokensOut: tokens}})
	}}
	f := benchServer(b, e)
	b.ReportAllocs()
	for i := range b.N {
		body := fmt.Sprintf(`{"job_id":"j%d","prompt":"hi","max_tokens":%d}`, i, tokens)
		resp, err := http.Post(f.URL+"/execute", "application/json", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		got := 0
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			if strings.HasPrefix(s.Text(), `data: {"type":"token"`) {
				got++
				read <- struct{}{}
			}
		}
		resp.Body.Close()
		if got != tokens {
			b.Fatalf("%d tokens", got)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*tokens), "µs/token")
}
