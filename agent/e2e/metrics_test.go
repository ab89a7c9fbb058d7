package e2e

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// series reads one value of /metrics by the start of its line.
func (f *fleet) series(start string) float64 {
	f.t.Helper()
	_, text := f.get("GET", "/metrics", nil)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, start) {
			v, err := strconv.ParseFloat(strings.TrimSpace(line[len(start):]), 64)
			if err != nil {
				f.t.Fatalf("%s: %v", line, err)
			}
			return v
		}
	}
	f.t.Fatalf("no %s", start)
	return 0
}

// What the mirror says of a request is what its client saw of it.
func TestMetricsOfARealRequest(t *testing.T) {
	f := ready(t, "--model-ref", "hf:acme/mini")
	frames := f.run(story("metrics", 1))
	tokens := 0.0
	for _, frame := range frames {
		if frame.Type == "token" {
			tokens++
		}
	}
	const labels = `{engine="0",model_name="hf:acme/mini"} `
	for start, want := range map[string]float64{
		"vllm:generation_tokens_total" + labels:                                  tokens,
		"vllm:request_generation_tokens_sum" + labels:                            tokens,
		"vllm:inter_token_latency_seconds_count" + labels:                        tokens - 1,
		"vllm:time_to_first_token_seconds_count" + labels:                        1,
		"vllm:e2e_request_latency_seconds_count" + labels:                        1,
		"vllm:request_params_max_tokens_sum" + labels:                            300,
		"vllm:num_requests_running" + labels:                                     0,
		"vllm:num_requests_waiting" + labels:                                     0,
		"vllm:kv_cache_usage_perc" + labels:                                      0,
		"vllm:num_preemptions_total" + labels:                                    0,
		`llorch_registration_state{worker_id="w-test"} `:                         2,
		`llorch_drain_state{worker_id="w-test"} `:                                0,
		`llorch_cancel_to_free_seconds_count{worker_id="w-test"} `:               0,
		`llorch_callback_attempts_total{outcome="accepted",worker_id="w-test"} `: 1,
	} {
		if got := f.series(start); got != want {
			t.Errorf("%s= %v, want %v", start, got, want)
		}
	}
	prompt := f.series("vllm:prompt_tokens_total" + labels)
	if sum := f.series("vllm:request_prompt_tokens_sum" + labels); prompt != sum || prompt < 2 {
		t.Errorf("%v prompt tokens, %v of requests that ended", prompt, sum)
	}
	first, all := f.series("vllm:time_to_first_token_seconds_sum"+labels), f.series("vllm:e2e_request_latency_seconds_sum"+labels)
	between, inside := f.series("vllm:inter_token_latency_seconds_sum"+labels), f.series("vllm:request_inference_time_seconds_sum"+labels)
	if first <= 0 || between <= 0 || all < first+between || inside > all || inside < between {
		t.Errorf("first token %v s, between tokens %v s, inside the engine %v s, in all %v s", first, between, inside, all)
	}
	if held := f.series(`llorch_memory_unexplained_bytes{worker_id="w-test"} `); held < 1<<20 || held > 1<<30 {
		t.Errorf("%v bytes beside the model", held)
	}
	if loaded := f.series(`llorch_load_bytes_total{worker_id="w-test"} `); loaded < 1<<10 {
		t.Errorf("%v bytes loaded", loaded)
	}
	f.execute(endless("cut")).Close()
	eventually(t, "the disconnect was counted", 5*time.Second, func() bool {
		return f.series(`llorch_cancel_to_free_seconds_count{worker_id="w-test"} `) == 1
	})
	if got := f.series(`vllm:request_success_total{engine="0",finished_reason="abort",model_name="hf:acme/mini"} `); got != 1 {
		t.Errorf("%v aborts", got)
	}
}

func TestMetricsWithoutTheMirror(t *testing.T) {
	f := ready(t, "--metrics-compat", "none")
	f.run(story("plain", 1))
	_, text := f.get("GET", "/metrics", nil)
	if strings.Contains(text, "vllm:") || !strings.Contains(text, "llorch_state") {
		t.Errorf("%s", text)
	}
}

// A drain can be watched until the listener closes.
func TestDrainIsExported(t *testing.T) {
	f := ready(t, "--shutdown-timeout", "60s", "--inference-timeout-sec", "0")
	s := f.execute(endless("running"))
	read := f.next(s, "token")
	if err := f.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "draining", 5*time.Second, func() bool { return f.series(`llorch_drain_state{worker_id="w-test"} `) == 1 })
	if err := f.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := s.All(read...); err != nil {
		t.Error(err)
	}
	f.exits(0, 5*time.Second)
}
