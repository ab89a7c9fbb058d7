package agent

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"llorch/inference"
	"llorch/residency"
)

func TestAuthorization(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token = "s3.cret+/=" })
	for header, want := range map[string]string{
		"":                           "MISSING_API_KEY",
		"Bearer ":                    "MISSING_API_KEY",
		"Bearer":                     "MISSING_API_KEY",
		"bearer s3.cret+/=":          "MISSING_API_KEY",
		"BEARER s3.cret+/=":          "MISSING_API_KEY",
		"Basic s3.cret+/=":           "MISSING_API_KEY",
		"Bearers3.cret+/=":           "MISSING_API_KEY",
		"Bearer s3.cret\t+/=":        "MISSING_API_KEY",
		"Bearer wrong":               "INVALID_API_KEY",
		"Bearer s3.cret+/":           "INVALID_API_KEY",
		"Bearer s3.cret+/==":         "INVALID_API_KEY",
		"Bearer s3.cret+/=":          "",
		"Bearer  s3.cret+/=":         "",
		"Bearer " + long("x", 8<<10): "MISSING_API_KEY",
	} {
		resp := f.do("GET", "/v1/ready", "", "Authorization", header)
		body := text(t, resp)
		if want == "" {
			if resp.StatusCode != 200 {
				t.Errorf("%.40q: %d %s", header, resp.StatusCode, body)
			}
			continue
		}
		if resp.StatusCode != 401 || !strings.HasPrefix(body, `{"error":{"code":"`+want+`","message":"`) ||
			resp.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%.40q: %d %s", header, resp.StatusCode, body)
		}
	}
	log := f.log.String()
	// The first six digits of the SHA-256 of "wrong" and of the token itself.
	if strings.Contains(log, "s3.cret") || !strings.Contains(log, "token:8810ad") {
		t.Errorf("log: %s", log)
	}
}

func long(s string, n int) string { return strings.Repeat(s, n) }

func TestTwoAuthorizationHeadersAreRefused(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token = "t" })
	req, _ := http.NewRequestWithContext(t.Context(), "GET", f.URL+"/v1/ready", nil)
	req.Header["Authorization"] = []string{"Bearer t", "Bearer t"}
	resp, err := f.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 401 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/nope", 404}, {"GET", "/health/", 404}, {"GET", "/Health", 404}, {"GET", "/debug/pprof/", 404},
		{"GET", "/execute", 405}, {"PUT", "/health", 405}, {"DELETE", "/execute", 405}, {"HEAD", "/health", 200}, {"HEAD", "/v1/ready", 200},
		{"HEAD", "/execute", 405},
	} {
		resp := f.do(c.method, c.path, "")
		if body := text(t, resp); resp.StatusCode != c.status || c.status != 200 && body != "" {
			t.Errorf("%s %s: %d %q, want %d", c.method, c.path, resp.StatusCode, body, c.status)
		}
	}
	guardedMethod := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token = "t" })
	if resp := guardedMethod.do("HEAD", "/v1/ready", ""); resp.StatusCode != 401 {
		t.Errorf("HEAD /v1/ready without a token: %d", resp.StatusCode)
	}
	for _, m := range []string{"GET", "PUT", "DELETE", "PATCH"} {
		if resp := guardedMethod.do(m, "/execute", ""); resp.StatusCode != 401 {
			t.Errorf("%s /execute without a token: %d", m, resp.StatusCode)
		}
	}
}

func TestHealthBody(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	f.machine.SetResidency(residency.Report{Resident: true, Held: map[string]int64{"weights": 1400, "cache": 100}})
	want := `{"status":"healthy","vram_bytes":1000,"vram_bytes_used":1500,"model":"mini","resident":true,"resident_bytes":{"cache":100,"weights":1400},"quant_kind":"BF16",` +
		`"tokenizer_kind":"hf-json","vocab_size":320,"context_length":256,"uptime_seconds":0,"capabilities":["text-gen"],` +
		`"protocol":"sse","memory_architecture":"ram","worker_id":"w-1","state":"ready"}`
	for _, path := range []string{"/health", "/v1/health", "/"} {
		resp := f.do("GET", path, "")
		if got := text(t, resp); got != want || resp.StatusCode != 200 {
			t.Errorf("%s: %d\n got %s\nwant %s", path, resp.StatusCode, got, want)
		}
		for _, accept := range []string{"text/plain", "text/plain; charset=utf-8"} {
			if got := text(t, f.do("GET", path, "", "Accept", accept)); got != "ok" {
				t.Errorf("%s as %s: %s", path, accept, got)
			}
		}
	}
}

// Every state that is not ready answers probes and work with 503.
func TestNotReady(t *testing.T) {
	e := &fakeEngine{script: words("x")}
	f := serveFake(t, e, nil)
	check := func(state State, poll string) {
		t.Helper()
		health := f.do("GET", "/health", "")
		body := text(t, health)
		if health.StatusCode != 503 || !strings.Contains(body, `"status":"unhealthy"`) || !strings.Contains(body, `"state":"`+state.String()+`"`) {
			t.Errorf("%s: %d %s", state, health.StatusCode, body)
		}
		work := f.do("POST", "/execute", good)
		if got := text(t, work); work.StatusCode != 503 || !strings.Contains(got, `"code":"WORKER_UNHEALTHY"`) || !strings.Contains(got, state.String()) {
			t.Errorf("%s: %d %s", state, work.StatusCode, got)
		}
		if got := text(t, f.do("GET", "/v1/ready", "")); !strings.HasPrefix(got, `{"ready":false,"state":"`+poll+`"`) {
			t.Errorf("%s: %s", state, got)
		}
		if got := text(t, f.do("GET", "/health", "", "Accept", "text/plain")); got == "ok" {
			t.Errorf("%s says ok", state)
		}
	}
	f.machine.Impair(CauseResidency, "pages are missing")
	check(Degraded, "error")
	f.machine.Heal(CauseResidency)
	f.enter(Faulted)
	check(Faulted, "error")
	f.enter(Draining)
	check(Draining, "error")
	if len(e.requests) != 0 {
		t.Error("work reached the engine")
	}
}

func loadingServer(t *testing.T) *fixture {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	m := NewMachine(nil) // the fixture's own has gone past loading
	f.machine, f.server.machine, f.server.jobs.machine = m, m, m
	f.server.serving.Store(nil)
	atClock(m)
	f.enter(Loading)
	m.SetProgress(Progress{Phase: "populate", BytesDone: 43 << 20, BytesTotal: 100 << 20, Layers: 3, LayersTotal: 8})
	return f
}

func TestProgressWhileLoading(t *testing.T) {
	f := loadingServer(t)
	for _, resp := range []*http.Response{f.do("GET", "/health", ""), f.do("POST", "/execute", good)} {
		got := text(t, resp)
		if resp.StatusCode != 503 || !strings.Contains(got, `"phase":"populate"`) || !strings.Contains(got, `"percent":43`) {
			t.Errorf("%d %s", resp.StatusCode, got)
		}
	}
	want := `{"ready":false,"state":"loading","progress_url":"/v1/loading/progress","model_loaded":false,"worker_state":"loading",` +
		`"cause":"loading","since":"2025-11-02T08:00:00Z"}`
	if got := text(t, f.do("GET", "/v1/ready", "")); got != want {
		t.Errorf("%s", got)
	}
	resp := f.do("GET", "/v1/loading/progress", "")
	time.AfterFunc(250*time.Millisecond, func() { f.enter(Verifying, Registering, Ready) })
	want = `data: {"stage":"loading_to_vram","layers_loaded":3,"layers_total":8,"vram_mb":43,"percent":43}` + "\n\n" +
		`data: {"stage":"ready"}` + "\n\ndata: [DONE]\n\n"
	if got := text(t, resp); got != want {
		t.Errorf("%s", got)
	}
	if resp := f.do("GET", "/v1/loading/progress", ""); resp.StatusCode != 503 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("after loading: %d %s", resp.StatusCode, text(t, resp))
	}
}

func TestShutdownRoutes(t *testing.T) {
	for _, path := range []string{"/shutdown", "/v1/shutdown", "/v1/admin/shutdown"} {
		calls := 0
		f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) {
			o.Stop = func(string) bool { calls++; return calls == 1 }
		})
		for _, status := range []int{202, 503} {
			resp := f.do("POST", path, "")
			if got := text(t, resp); resp.StatusCode != status || got != `{"status":"shutting_down","timeout_seconds":4}` {
				t.Errorf("%s: %d %s", path, resp.StatusCode, got)
			}
		}
	}
}

func TestMetricsText(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("a", "b"), stats: inference.Stats{SlotsTotal: 4, Steps: 17, TokensIn: 3}}, nil)
	text(t, f.do("POST", "/execute", good))
	f.do("POST", "/execute", `{}`)
	f.server.metrics.observed(true, map[string]int64{"weights": 1000})
	got := text(t, f.do("GET", "/metrics", ""))
	for _, line := range []string{
		`worker_requests_total{outcome="success",worker_id="w-1"} 1`, `worker_requests_total{outcome="timeout",worker_id="w-1"} 0`,
		`worker_tokens_generated_total{worker_id="w-1"} 2`, `worker_tokens_in_total{worker_id="w-1"} 3`,
		`worker_vram_bytes{worker_id="w-1"} 1500`, `worker_inference_duration_ms_count{worker_id="w-1"} 1`,
		`llorch_step_heartbeat_total{worker_id="w-1"} 17`, `llorch_resident_bytes{class="weights",worker_id="w-1"} 1000`,
		`llorch_residency_ok{worker_id="w-1"} 1`, `llorch_requests_refused_total{reason="invalid",worker_id="w-1"} 1`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no %s", line)
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds", "worker_uptime_seconds"} {
		if !strings.Contains(got, "\n"+name) {
			t.Errorf("no %s", name)
		}
	}
}

func TestHugeHeadersAndHalfRequests(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	conn, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /health HTTP/1.1\r\nHost: x\r\nX-Correlation-ID: %s\r\n\r\n", long("a", 1<<20))
	reply, _ := io.ReadAll(io.LimitReader(conn, 12))
	if len(reply) > 0 && string(reply) != "HTTP/1.1 431" {
		t.Errorf("%q", reply)
	}
	for _, raw := range []string{
		"POST /execute HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /execute HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
	} {
		c, err := net.Dial("tcp", f.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, raw)
		status := make([]byte, 12)
		_, _ = io.ReadFull(c, status)
		c.Close()
		if s := string(status); s == "HTTP/1.1 200" {
			t.Errorf("%q was taken", raw)
		}
	}
	if f.do("GET", "/health", "").StatusCode != 200 {
		t.Error("unhealthy afterwards")
	}
}

// A header can bring a deadline forward, never move it later than the limit.
func TestDeadlineOnlyShortens(t *testing.T) {
	now := time.Unix(1_762_070_400, 0)
	for v, want := range map[string]time.Duration{
		"1762070405000": 5 * time.Second, "2025-11-02T08:00:05Z": 5 * time.Second, "2025-11-02T09:00:05.5+01:00": 5500 * time.Millisecond,
		"1762070395000": -5 * time.Second, "9999999999999": 10 * time.Second, "x": 10 * time.Second, "": 10 * time.Second,
		"9223372036854775807": 10 * time.Second,
	} {
		at, _, err := requestDeadline(http.Header{"X-Deadline": {v}}, now, 10*time.Second)
		if at.Sub(now) != want || (err != nil) != (v == "x") {
			t.Errorf("%q: %v %v, want %v", v, at.Sub(now), err, want)
		}
	}
	if at, _, _ := requestDeadline(http.Header{}, now, 0); !at.IsZero() {
		t.Errorf("no limit and no header, but a deadline at %v", at)
	}
}

func benchServer(b *testing.B, e *fakeEngine) *httptest.Server {
	log := slog.New(slog.DiscardHandler)
	m := NewMachine(log)
	metrics := NewMetrics("w", m, time.Now())
	metrics.MirrorVLLM() // as a worker does by default
	s := NewServer(ServerOptions{Machine: m, Metrics: metrics, Log: log, WriteTimeout: 10 * time.Second})
	s.Attach(e, info)
	for _, st := range []State{Loading, Verifying, Registering, Ready} {
		if err := m.To(st, ""); err != nil {
			b.Fatal(err)
		}
	}
	srv := httptest.NewServer(s.Handler())
	b.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); srv.Close(); e.running.Wait() })
	return srv
}

// net/http would answer OPTIONS * by itself, past everything that each response gets.
func TestOptionsStarIsAnsweredHere(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	if !f.server.http.DisableGeneralOptionsHandler {
		t.Error("net/http answers OPTIONS *")
	}
	r := httptest.NewRequest("OPTIONS", "/", nil)
	r.URL, r.RequestURI = &url.URL{Path: "*"}, "*"
	w := httptest.NewRecorder()
	f.server.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusNotFound || w.Header().Get("X-Correlation-ID") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
