package agent

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"llorch/inference"
)

// Who is refused for want of room hears when to come back, as the engine has
// measured; the status is the dialect's.
func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		wait     time.Duration
		why      error
		overload int
		status   int
		after    string
	}{
		{0, inference.ErrBusy, 0, 503, "1"},
		{20 * time.Millisecond, inference.ErrBusy, 503, 503, "1"},
		{2100 * time.Millisecond, inference.ErrBusy, 429, 429, "3"},
		{7 * time.Second, inference.ErrBusyTokens, 429, 429, "7"},
		{time.Hour, inference.ErrBusyTokens, 503, 503, "60"},
	} {
		e := &fakeEngine{refuse: &inference.Error{Code: inference.CodeUnhealthy, Err: c.why, RetryAfter: c.wait}}
		f := serveFake(t, e, func(o *ServerOptions) { o.OverloadStatus = c.overload })
		for _, path := range []string{"/execute", "/v1/inference"} {
			resp := f.do("POST", path, good)
			body := text(t, resp)
			if resp.StatusCode != c.status || resp.Header.Get("Retry-After") != c.after || !strings.Contains(body, `{"error":{"code":"ALL_SLOTS_BUSY","message":"`+c.why.Error()) {
				t.Errorf("%+v: %d, retry after %q: %s", c, resp.StatusCode, resp.Header.Get("Retry-After"), body)
			}
		}
	}
}

// A deadline that the engine cannot meet is refused before the stream, with the
// deadline and when to come back.
func TestDeadlineUnmet(t *testing.T) {
	e := &fakeEngine{refuse: &inference.Error{Code: inference.CodeTimeout, Retriable: true, Err: inference.ErrDeadlineUnmet, RetryAfter: 12 * time.Second}}
	f := serveFake(t, e, nil)
	at := time.Now().Add(5 * time.Second).Truncate(time.Millisecond).UTC().Format(time.RFC3339Nano)
	resp := f.do("POST", "/execute", good, "X-Deadline", at)
	want := `{"error_code":"DEADLINE_UNMET","message":"` + inference.ErrDeadlineUnmet.Error() + `","deadline":"` + at + `","retriable":true}`
	if body := text(t, resp); resp.StatusCode != http.StatusRequestTimeout || body != want || resp.Header.Get("Retry-After") != "12" {
		t.Errorf("%d, retry after %q: %s, want %s", resp.StatusCode, resp.Header.Get("Retry-After"), body, want)
	}
	if got := f.scrape(); valueOf(t, got, "llorch_requests_refused_total", "deadline") != 1 {
		t.Error("the refusal was not counted")
	}
}

// Both bounds of the queue have vLLM's word in the mirror.
func TestMirrorNamesTheBound(t *testing.T) {
	e := &fakeEngine{refuse: &inference.Error{Code: inference.CodeUnhealthy, Err: inference.ErrBusyTokens}}
	f := serveFake(t, e, mirrored)
	f.do("POST", "/execute", good)
	got := f.scrape()
	for name, want := range map[string]float64{"max_num_queued_reqs": 0, "max_num_queued_tokens": 1} {
		if v := valueOf(t, got, "vllm:admission_rejections_total", name); v != want {
			t.Errorf("%s: %v, want %v", name, v, want)
		}
	}
}
