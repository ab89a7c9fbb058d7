package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
	"llorch/inference/tokenize"
)

// transcript is a whole answer, frame by frame.
var transcript = []*regexp.Regexp{
	regexp.MustCompile(`^data: \{"type":"started","job_id":"j1","model":"model","started_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"\}$`),
	regexp.MustCompile(`^data: \{"type":"token","t":"[^\[\n]*","i":0\}$`),
	regexp.MustCompile(`^data: \{"type":"token","t":"[^\[\n]*","i":1\}$`),
	regexp.MustCompile(`^data: \{"type":"token","t":"[^\[\n]*","i":2\}$`),
	regexp.MustCompile(`^data: \{"type":"end","tokens_out":3,"decode_time_ms":\d+,"stop_reason":"MAX_TOKENS"\}$`),
	regexp.MustCompile(`^data: \[DONE\]$`),
}

func TestStreamOnBothPaths(t *testing.T) {
	f := ready(t)
	for path, frames := range map[string]int{"/execute": 5, "/v1/inference": 6} {
		s, err := f.Execute(t.Context(), path, standin.Request{JobID: "j1", Prompt: "Once upon a time", MaxTokens: 3})
		if err != nil {
			t.Fatal(err)
		}
		all, err := s.All()
		if err != nil || len(all) != frames {
			t.Fatalf("%s: %d frames, %v", path, len(all), err)
		}
		for i, frame := range all {
			if !transcript[i].MatchString(frame.Raw) {
				t.Errorf("%s frame %d: %s", path, i, frame.Raw)
			}
		}
		if s.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%s: %v", path, s.Header)
		}
	}
}

// TestTextEqualsTransformers streams the prompts of the golden file, all at
// once, and compares with what HF transformers chose.
func TestTextEqualsTransformers(t *testing.T) {
	raw, err := os.ReadFile("../../inference/testdata/demo/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Prompts []struct{ IDs, Greedy []int32 }
	}
	if err := json.Unmarshal(raw, &golden); err != nil || len(golden.Prompts) == 0 {
		t.Fatal("no golden prompts", err)
	}
	tok, err := tokenize.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	defer tok.Close()
	f := ready(t)
	var all sync.WaitGroup
	for i, g := range golden.Prompts {
		prompt := tok.Decode(g.IDs)
		want := strings.TrimPrefix(tok.Decode(append(append([]int32(nil), g.IDs...), g.Greedy...)), prompt)
		all.Go(func() {
			s, err := f.Execute(t.Context(), "", standin.Request{JobID: fmt.Sprint(i), Prompt: prompt, MaxTokens: len(g.Greedy)})
			if err != nil {
				t.Error(err)
				return
			}
			frames, err := s.All()
			if got := standin.Text(frames); err != nil || got != want {
				t.Errorf("%q: %v\n got %q\nwant %q", prompt, err, got, want)
			}
		})
	}
	all.Wait()
}

// A request's text depends on nothing but the request: not on neighbours, not
// on the process.
func TestSameTextInABatchAndAfterARestart(t *testing.T) {
	first := ready(t)
	alone := standin.Text(first.run(story("alone", 7)))
	if other := standin.Text(first.run(story("other", 8))); other == alone {
		t.Error("the seed has no effect")
	}
	texts := make([]string, 8)
	var all sync.WaitGroup
	for i := range texts {
		r := story(fmt.Sprint(i), 7)
		if i%2 == 1 {
			r.Prompt, r.Seed = strings.Repeat("The little dog ", i), seed(uint64(i))
		}
		all.Go(func() { texts[i] = standin.Text(first.run(r)) })
	}
	all.Wait()
	for i := 0; i < len(texts); i += 2 {
		if texts[i] != alone {
			t.Errorf("in a batch: %q, alone: %q", texts[i], alone)
		}
	}
	if again := standin.Text(ready(t).run(story("again", 7))); again != alone {
		t.Errorf("after a restart: %q, before: %q", again, alone)
	}
}

func TestStopStringEndsBeforeTheMatch(t *testing.T) {
	f := ready(t)
	r := standin.Request{JobID: "full", Prompt: "Once upon a time", MaxTokens: 40}
	full := standin.Text(f.run(r))
	mark := full[10:14]
	r.Stop = []string{"\x01never", mark}
	all := f.run(r)
	end := standin.Last(all)
	if got := standin.Text(all); got != full[:strings.Index(full, mark)] || end.StopReason != "STOP_SEQUENCE" || end.StopMatched == nil || *end.StopMatched != mark {
		t.Errorf("%q of %q, %s", got, full, end.Raw)
	}
	r.Stop = []string{full[len(full)-1:] + "\x01"}
	if all := f.run(r); standin.Text(all) != full || standin.Last(all).StopMatched != nil {
		t.Errorf("text held back in vain is lost: %q of %q", standin.Text(all), full)
	}
}

func TestCancel(t *testing.T) {
	f := ready(t)
	for _, way := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"POST", "/cancel", map[string]string{"job_id": "c"}, 202}, {"POST", "/cancel/c", nil, 202}, {"DELETE", "/v1/inference/c", nil, 204},
	} {
		s := f.execute(endless("c"))
		read := f.next(s, "token")
		at := time.Now()
		for range 2 {
			if status, body := f.get(way.method, way.path, way.body); status != way.status {
				t.Errorf("%s %s: %d %s", way.method, way.path, status, body)
			}
		}
		all, err := s.All(read...)
		if err != nil {
			t.Fatal(err)
		}
		if end := standin.Last(all); end.Code != "CANCELLED" || time.Since(at) > 5*time.Second {
			t.Errorf("%s after %v: %s", way.path, time.Since(at), end.Raw)
		}
	}
	if all := f.run(story("after", 1)); standin.Last(all).Type != "end" {
		t.Error("does not serve after a cancel")
	}
}

func TestDeadlineEndsARunningStream(t *testing.T) {
	f := ready(t)
	s, err := f.Execute(t.Context(), "", endless("late"), "X-Deadline", fmt.Sprint(time.Now().Add(150*time.Millisecond).UnixMilli()))
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	if end := standin.Last(all); end.Code != "TIMEOUT" && end.Type != "end" { // a fast machine may be done before
		t.Errorf("%s", end.Raw)
	}
	status, body := f.get("POST", "/execute", endless("past"), "X-Deadline", "1000")
	if status != 408 || !strings.Contains(body, `"error_code":"REQUEST_TIMEOUT"`) {
		t.Errorf("%d %s", status, body)
	}
}

// One slot and one place in the queue: each of many requests is served whole
// or refused clearly.
func TestBusy(t *testing.T) {
	f := ready(t, "--max-batch", "1", "--max-queue", "1")
	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			status, header, body, err := f.Do(t.Context(), "POST", "/execute", story(fmt.Sprint(i), uint64(i)))
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
			switch {
			case err != nil:
				t.Error(err)
			case status == 200 && !strings.Contains(string(body), `"type":"end"`):
				t.Errorf("served without an end: %s", body)
			case status == 503 && (!strings.Contains(string(body), `"code":"ALL_SLOTS_BUSY"`) || header.Get("Retry-After") == ""):
				t.Errorf("%v %s", header, body)
			}
		})
	}
	all.Wait()
	if statuses[200] == 0 || statuses[503] == 0 || len(statuses) != 2 {
		t.Errorf("statuses %v, want both 200 and 503", statuses)
	}
}

func TestSameJobIDTwice(t *testing.T) {
	f := ready(t)
	s := f.execute(endless("same"))
	read := f.next(s, "token")
	if status, body := f.get("POST", "/execute", endless("same")); status != 409 {
		t.Errorf("%d %s", status, body)
	}
	f.get("POST", "/cancel/same", nil)
	if _, err := s.All(read...); err != nil {
		t.Error(err)
	}
}

func TestPromptBeyondTheContext(t *testing.T) {
	f := ready(t, "--max-context", "64")
	status, body := f.get("POST", "/execute", standin.Request{JobID: "long", Prompt: strings.Repeat("x y z ", 200), MaxTokens: 8})
	if status != 400 || !strings.Contains(body, `{"errors":[{"field":"prompt","constraint":"context_length(64)"`) {
		t.Errorf("%d %s", status, body)
	}
}

func TestAuthorization(t *testing.T) {
	o := orchestrate(t, nil)
	f := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready"), Env: []string{"LLORCH_API_TOKEN=s3cret"}})
	f.healthy()
	for _, path := range []string{"/execute", "/cancel", "/shutdown"} {
		for _, h := range []string{"", "Bearer wrong", "bearer s3cret"} {
			if status, body := f.get("POST", path, story("a", 1), "Authorization", h); status != 401 {
				t.Errorf("%s with %q: %d %s", path, h, status, body)
			}
		}
	}
	if status, body := f.get("POST", "/execute", story("a", 1), "Authorization", "Bearer s3cret"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if strings.Contains(f.wholeLog(), "s3cret") {
		t.Error("the token is in the log")
	}
}

func TestMetricsCountWhatHappened(t *testing.T) {
	f := ready(t)
	f.run(standin.Request{JobID: "m", Prompt: "the secret phrase xyzzy", MaxTokens: 5})
	_, text := f.get("GET", "/metrics", nil)
	for name, want := range map[string]float64{"worker_tokens_generated_total": 5, "worker_inference_duration_ms_count": 1, "llorch_residency_ok": 1} {
		if got, ok := standin.Sample(text, name, `worker_id="w-test"`); !ok || got != want {
			t.Errorf("%s: %v %v, want %v", name, got, ok, want)
		}
	}
	if got, _ := standin.Sample(text, "worker_requests_total", `outcome="success"`); got != 1 {
		t.Errorf("success: %v", got)
	}
	if in, _ := standin.Sample(text, "worker_tokens_in_total"); in < 3 {
		t.Errorf("tokens in: %v", in)
	}
	if strings.Contains(f.wholeLog(), "xyzzy") {
		t.Error("the prompt is in the log")
	}
}
