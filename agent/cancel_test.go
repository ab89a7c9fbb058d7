package agent

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"llorch/inference"
)

func TestCancelEveryWay(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: untilCancelled}, nil)
	for _, way := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/cancel", `{"job_id":"a/b"}`, 202},
		{"POST", "/cancel/a%2Fb", "", 202},
		{"DELETE", "/v1/inference/a%2Fb", "", 204},
	} {
		resp := f.do("POST", "/execute", `{"job_id":"a/b","prompt":"hi","max_tokens":4}`)
		for range 2 { // a repeat is no error
			if c := f.do(way.method, way.path, way.body); c.StatusCode != way.status {
				t.Errorf("%s %s: %d", way.method, way.path, c.StatusCode)
			}
		}
		if got := text(t, resp); !strings.HasSuffix(got, `data: {"type":"error","code":"CANCELLED","message":"cancelled","retriable":false}`+"\n\n") {
			t.Errorf("%s: %s", way.path, got)
		}
	}
	if resp := f.do("POST", "/cancel", `{"job_id":"nobody"}`); resp.StatusCode != 202 {
		t.Errorf("unknown job: %d", resp.StatusCode)
	}
	if resp := f.do("POST", "/cancel", `{"job_id":""}`); resp.StatusCode != 400 {
		t.Errorf("empty job id: %d", resp.StatusCode)
	}
}

// A device inside a long step does not answer a cancel; the stream does.
func TestCancelDoesNotWaitForTheDevice(t *testing.T) {
	release := make(chan struct{})
	e := &fakeEngine{script: func(ctx context.Context, r inference.Request, send func(inference.Event)) {
		<-release
		untilCancelled(ctx, r, send)
	}}
	f := serveFake(t, e, nil)
	resp := f.do("POST", "/execute", good)
	at := time.Now()
	f.do("POST", "/cancel", `{"job_id":"j1"}`)
	got := text(t, resp)
	if took := time.Since(at); took > 5*time.Second || strings.Count(got, "CANCELLED") != 1 {
		t.Errorf("%v: %s", took, got)
	}
	// The stream is over for its client, who may use the id again, though the
	// engine has not got rid of the job yet.
	again := f.do("POST", "/execute", good)
	if again.StatusCode != http.StatusOK {
		t.Errorf("the same id again: %d %s", again.StatusCode, text(t, again))
	}
	e.mu.Lock()
	if ids := []string{e.requests[0].ID, e.requests[1].ID}; ids[0] == ids[1] {
		t.Errorf("the engine was given one id for two jobs: %q", ids)
	}
	e.mu.Unlock()
	close(release)
	f.do("POST", "/cancel", `{"job_id":"j1"}`)
	text(t, again)
}

// A drain that cuts does not wait for such a device either: every stream gets
// its terminal frame.
func TestCutDoesNotWaitForTheDevice(t *testing.T) {
	release := make(chan struct{})
	f := serveFake(t, &fakeEngine{script: func(context.Context, inference.Request, func(inference.Event)) { <-release }}, nil)
	defer close(release)
	one := f.do("POST", "/execute", good)
	two := f.do("POST", "/v1/inference", strings.Replace(good, "j1", "j2", 1))
	at := time.Now()
	f.server.jobs.cancelAll(inference.ErrDraining)
	want := `data: {"type":"error","code":"CANCELLED","message":"the engine is draining","retriable":false}` + "\n\n"
	if got := text(t, one); !strings.HasSuffix(got, want) || strings.Count(got, `"type":"error"`) != 1 {
		t.Errorf("/execute: %s", got)
	}
	if got := text(t, two); !strings.HasSuffix(got, want+"data: [DONE]\n\n") {
		t.Errorf("/v1/inference: %s", got)
	}
	if took := time.Since(at); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestDeadlines(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: untilCancelled}, func(o *ServerOptions) { o.Timeout = 50 * time.Millisecond })
	past, future := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	for _, h := range []string{"X-Deadline", "X-Request-Deadline"} {
		for _, v := range []string{fmt.Sprint(past.UnixMilli()), past.UTC().Format(time.RFC3339)} {
			resp := f.do("POST", "/execute", good, h, v)
			if body := text(t, resp); resp.StatusCode != 408 || !strings.Contains(body, `"error_code":"REQUEST_TIMEOUT"`) || !strings.Contains(body, `"deadline":"`+v+`"`) {
				t.Errorf("%s %s: %d %s", h, v, resp.StatusCode, body)
			}
		}
	}
	for _, v := range []string{"", fmt.Sprint(future.UnixMilli()), "soon"} { // none can extend the worker's own limit
		resp := f.do("POST", "/execute", good, "X-Deadline", v)
		want := `data: {"type":"error","code":"TIMEOUT","message":"deadline exceeded","retriable":true}` + "\n\n"
		if body := text(t, resp); resp.StatusCode != 200 || !strings.HasSuffix(body, want) {
			t.Errorf("%q: %d %s", v, resp.StatusCode, body)
		}
	}
	if !strings.Contains(f.log.String(), "deadline ignored") {
		t.Error("an unreadable deadline was passed over in silence")
	}
}

func TestClientGoneStopsTheEngine(t *testing.T) {
	stopped := make(chan time.Time, 1)
	f := serveFake(t, &fakeEngine{script: func(ctx context.Context, r inference.Request, send func(inference.Event)) {
		untilCancelled(ctx, r, send)
		stopped <- time.Now()
	}}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "POST", f.URL+"/execute", strings.NewReader(good))
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	at := time.Now()
	cancel()
	if took := (<-stopped).Sub(at); took > 5*time.Second { // 100 ms on a quiet machine
		t.Errorf("stopped after %v", took)
	}
	eventually(t, "idle again", func() bool { s, _ := f.machine.State(); return s == Ready })
	eventually(t, "counted", func() bool { return strings.Contains(f.log.String(), `"outcome":"cancelled"`) })
}

// A reader that stands still loses its connection after the write timeout, and
// until then costs nobody else anything.
func TestSlowReaderHurtsItselfOnly(t *testing.T) {
	big := strings.Repeat("x", 64<<10)
	ended := make(chan struct{})
	f := serveFake(t, &fakeEngine{script: func(ctx context.Context, r inference.Request, send func(inference.Event)) {
		if r.Prompt != "slow" {
			words("ok")(ctx, r, send)
			return
		}
		for i := range 400 { // 25 MB: far beyond what sockets buffer
			send(inference.Event{Text: big, Index: i})
		}
		<-ctx.Done()
		close(ended)
	}}, func(o *ServerOptions) { o.WriteTimeout = 2 * time.Second })
	conn, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"job_id":"slow","prompt":"slow","max_tokens":500}`
	fmt.Fprintf(conn, "POST /execute HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	time.Sleep(50 * time.Millisecond)
	at := time.Now()
	if got := text(t, f.do("POST", "/execute", good)); !strings.Contains(got, `"type":"end"`) || time.Since(at) > 1500*time.Millisecond {
		t.Errorf("a neighbour waited %v: %.80s", time.Since(at), got)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the engine still works for a reader that stands still")
	}
}
