package agent

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"llorch/inference"
)

func mirrored(o *ServerOptions) { o.Metrics.MirrorVLLM() }

// scrape reads /metrics as a Prometheus server would.
func (f *fixture) scrape() map[string]*dto.MetricFamily {
	f.t.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text(f.t, f.do("GET", "/metrics", ""))))
	if err != nil {
		f.t.Fatal(err)
	}
	return families
}

// mirrorNames is what vLLM exports of the same name: type, labels, and bounds of the buckets.
var mirrorNames = map[string]struct {
	kind   dto.MetricType
	labels string
	bounds []float64
}{
	"vllm:num_requests_running":       {dto.MetricType_GAUGE, "engine model_name", nil},
	"vllm:num_requests_waiting":       {dto.MetricType_GAUGE, "engine model_name", nil},
	"vllm:kv_cache_usage_perc":        {dto.MetricType_GAUGE, "engine model_name", nil},
	"vllm:cache_config_info":          {dto.MetricType_GAUGE, "block_size engine num_gpu_blocks", nil},
	"vllm:prompt_tokens_total":        {dto.MetricType_COUNTER, "engine model_name", nil},
	"vllm:generation_tokens_total":    {dto.MetricType_COUNTER, "engine model_name", nil},
	"vllm:prefix_cache_queries_total": {dto.MetricType_COUNTER, "engine model_name", nil},
	"vllm:prefix_cache_hits_total":    {dto.MetricType_COUNTER, "engine model_name", nil},
	"vllm:num_preemptions_total":      {dto.MetricType_COUNTER, "engine model_name", nil},
	"vllm:request_success_total":      {dto.MetricType_COUNTER, "engine finished_reason model_name", nil},
	"vllm:admission_rejections_total": {dto.MetricType_COUNTER, "engine model_name reason", nil},

	"vllm:time_to_first_token_seconds":    {dto.MetricType_HISTOGRAM, "engine model_name", wantFirst},
	"vllm:inter_token_latency_seconds":    {dto.MetricType_HISTOGRAM, "engine model_name", wantToken},
	"vllm:time_per_output_token_seconds":  {dto.MetricType_HISTOGRAM, "engine model_name", wantToken},
	"vllm:e2e_request_latency_seconds":    {dto.MetricType_HISTOGRAM, "engine model_name", wantRequest},
	"vllm:request_queue_time_seconds":     {dto.MetricType_HISTOGRAM, "engine model_name", wantRequest},
	"vllm:request_prefill_time_seconds":   {dto.MetricType_HISTOGRAM, "engine model_name", wantRequest},
	"vllm:request_decode_time_seconds":    {dto.MetricType_HISTOGRAM, "engine model_name", wantRequest},
	"vllm:request_inference_time_seconds": {dto.MetricType_HISTOGRAM, "engine model_name", wantRequest},

	"vllm:request_prompt_tokens":             {dto.MetricType_HISTOGRAM, "engine model_name", wantSizes},
	"vllm:request_generation_tokens":         {dto.MetricType_HISTOGRAM, "engine model_name", wantSizes},
	"vllm:request_max_num_generation_tokens": {dto.MetricType_HISTOGRAM, "engine model_name", wantSizes},
	"vllm:request_params_max_tokens":         {dto.MetricType_HISTOGRAM, "engine model_name", wantSizes},
	"vllm:request_params_n":                  {dto.MetricType_HISTOGRAM, "engine model_name", []float64{1, 2, 5, 10, 20}},
}

var (
	wantFirst = []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	wantToken = []float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	// Of the context of 256 tokens that the fixture's model has.
	wantSizes   = []float64{1, 2, 5, 10, 20, 50, 100, 200}
	wantRequest = []float64{0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
)

func TestMirrorHasVLLMsNames(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, mirrored)
	families := f.scrape()
	for name, want := range mirrorNames {
		family := families[name]
		if family == nil {
			t.Errorf("no %s", name)
			continue
		}
		if family.GetType() != want.kind {
			t.Errorf("%s is a %s, want %s", name, family.GetType(), want.kind)
		}
		for _, m := range family.Metric {
			if got := labelNames(m); got != want.labels {
				t.Errorf("%s{%s}, want {%s}", name, got, want.labels)
			}
			if got := bounds(m); !slices.Equal(got, want.bounds) {
				t.Errorf("%s has buckets %v, want %v", name, got, want.bounds)
			}
			if v := labelOf(m, "model_name"); name != "vllm:cache_config_info" && v != "mini" || labelOf(m, "engine") != "0" {
				t.Errorf("%s: %v", name, m.Label)
			}
		}
	}
	for name := range families {
		if _, known := mirrorNames[name]; strings.HasPrefix(name, "vllm:") && !known {
			t.Errorf("%s is exported, but no row of the table says why", name)
		}
	}
}

func labelNames(m *dto.Metric) string {
	var names []string
	for _, l := range m.Label {
		names = append(names, l.GetName())
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.Label {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// bounds are a histogram's, less the infinite one.
func bounds(m *dto.Metric) (all []float64) {
	for _, b := range m.GetHistogram().GetBucket() {
		if !math.IsInf(b.GetUpperBound(), 1) {
			all = append(all, b.GetUpperBound())
		}
	}
	return all
}

// valueOf is a counter, a gauge, or the count of a histogram; with a label's value where one is given.
func valueOf(t *testing.T, families map[string]*dto.MetricFamily, name, label string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		if label == "" || slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetValue() == label }) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	t.Fatalf("no %s %s", name, label)
	return 0
}

func TestMirrorIsOptional(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	text(t, f.do("POST", "/execute", good))
	for name := range f.scrape() {
		if strings.HasPrefix(name, "vllm:") {
			t.Errorf("%s without the mirror", name)
		}
	}
}

// endings is an engine whose clock starts when requests arrive: each prompt
// names how its request ends.
func endings(arrival time.Time) *fakeEngine {
	after := func(ms int) time.Time { return arrival.Add(time.Duration(ms) * time.Millisecond) }
	return &fakeEngine{
		stats: inference.Stats{SlotsTotal: 4, SlotsBusy: 3, Queued: 2, PagesTotal: 8, PagesFree: 6, PageSize: 16,
			TokensIn: 70, TokensOut: 40, Preemptions: 5, PagesCached: 3, PrefixQueries: 90, PrefixHits: 64, Evictions: 7},
		script: func(ctx context.Context, r inference.Request, send func(inference.Event)) {
			send(inference.Event{Text: "a", At: after(50)})
			send(inference.Event{Text: "b", Index: 1, At: after(80)})
			end := &inference.End{Reason: inference.StopReason(r.Prompt), TokensIn: 3, TokensOut: 2,
				Queued: 10 * time.Millisecond, Prefill: 40 * time.Millisecond, Decode: 70 * time.Millisecond}
			switch r.Prompt {
			case "cancel":
				<-ctx.Done()
				send(inference.Event{Err: causeOf(ctx)})
			case "timeout":
				send(inference.Event{Err: &inference.Error{Code: inference.CodeTimeout, Err: inference.ErrTimeout}})
			case "fault":
				send(inference.Event{Err: &inference.Error{Code: inference.CodeUnhealthy, Err: errBoom}})
			case "nothing": // a stream without a last event is the engine's error
			default:
				send(inference.Event{End: end, At: after(90)})
			}
		},
	}
}

// Every request that began is counted once, by one reason; times and sizes are
// those of the engine's clock and account.
func TestMirrorCountsEachRequestOnce(t *testing.T) {
	arrival := time.Now()
	e := endings(arrival)
	f := serveFake(t, e, func(o *ServerOptions) { mirrored(o); o.Now = func() time.Time { return arrival } })
	for _, prompt := range []string{"EOS", "STOP_SEQUENCE", "MAX_TOKENS", "MAX_TOKENS", "timeout", "fault", "nothing"} {
		text(t, f.do("POST", "/execute", `{"job_id":"j","prompt":"`+prompt+`","max_tokens":20}`))
	}
	resp := f.do("POST", "/execute", `{"job_id":"c","prompt":"cancel","max_tokens":20}`)
	for range 2 {
		f.do("POST", "/cancel", `{"job_id":"c"}`)
	}
	text(t, resp)
	f.do("POST", "/execute", `{}`)
	e.mu.Lock()
	e.refuse = &inference.Error{Code: inference.CodeUnhealthy, Err: inference.ErrBusy}
	e.mu.Unlock()
	f.do("POST", "/execute", good)

	got := f.scrape()
	for _, c := range []struct {
		name, label string
		want        float64
	}{
		{"vllm:request_success_total", "stop", 2}, {"vllm:request_success_total", "length", 2},
		{"vllm:request_success_total", "abort", 2}, {"vllm:request_success_total", "error", 2},
		{"vllm:admission_rejections_total", "max_num_queued_reqs", 1},
		{"vllm:time_to_first_token_seconds", "", 8}, {"vllm:inter_token_latency_seconds", "", 8},
		{"vllm:time_per_output_token_seconds", "", 8}, {"vllm:e2e_request_latency_seconds", "", 4},
		{"vllm:request_queue_time_seconds", "", 4}, {"vllm:request_params_n", "", 4},
		{"vllm:num_requests_running", "", 3}, {"vllm:num_requests_waiting", "", 2}, {"vllm:kv_cache_usage_perc", "", 0.25},
		{"vllm:prompt_tokens_total", "", 70}, {"vllm:generation_tokens_total", "", 40}, {"vllm:num_preemptions_total", "", 5},
		{"vllm:prefix_cache_queries_total", "", 90}, {"vllm:prefix_cache_hits_total", "", 64},
		{"llorch_prefix_cache_queries_tokens_total", "", 90}, {"llorch_prefix_cache_hits_tokens_total", "", 64},
		{"llorch_prefix_cache_pages", "", 3}, {"llorch_prefix_cache_evictions_total", "", 7},
		{"vllm:cache_config_info", "16", 1}, {"vllm:cache_config_info", "8", 1},
		{"llorch_cancel_to_free_seconds", "", 1},
		{"worker_requests_total", "success", 4}, {"worker_requests_total", "error", 2},
		{"worker_requests_total", "cancelled", 1}, {"worker_requests_total", "timeout", 1},
	} {
		if v := valueOf(t, got, c.name, c.label); v != c.want {
			t.Errorf("%s %s = %v, want %v", c.name, c.label, v, c.want)
		}
	}
	for name, want := range map[string]float64{
		"vllm:time_to_first_token_seconds": 8 * .05, "vllm:inter_token_latency_seconds": 8 * .03, "vllm:time_per_output_token_seconds": 8 * .03,
		"vllm:e2e_request_latency_seconds": 4 * .09, "vllm:request_queue_time_seconds": 4 * .01, "vllm:request_prefill_time_seconds": 4 * .04,
		"vllm:request_decode_time_seconds": 4 * .03, "vllm:request_inference_time_seconds": 4 * .07, "vllm:request_prompt_tokens": 4 * 3,
		"vllm:request_generation_tokens": 4 * 2, "vllm:request_max_num_generation_tokens": 4 * 2, "vllm:request_params_max_tokens": 4 * 20,
		"vllm:request_params_n": 4,
	} {
		if sum := got[name].Metric[0].GetHistogram().GetSampleSum(); math.Abs(sum-want) > 1e-9 {
			t.Errorf("%s sums up to %v, want %v", name, sum, want)
		}
	}
}

// A folder may have any name; a label may not.
func TestMirrorOfAModelWithAStrangeName(t *testing.T) {
	x := NewMetrics("w", NewMachine(nil), time.Now())
	x.MirrorVLLM()
	x.attach(&fakeEngine{}, ModelInfo{Name: "a\xff\"\n"})
	families, err := x.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "vllm:num_requests_running" && labelOf(family.Metric[0], "model_name") != "a�\"\n" {
			t.Errorf("%v", family.Metric[0])
		}
	}
}

// What the mirror adds to each token.
func BenchmarkMirrorToken(b *testing.B) {
	x := NewMetrics("w", NewMachine(nil), time.Now())
	x.MirrorVLLM()
	x.attach(&fakeEngine{}, info)
	m, arrived := x.mirror.Load(), time.Now()
	last, at := arrived.Add(time.Second), arrived.Add(1030*time.Millisecond)
	b.ReportAllocs()
	for b.Loop() {
		m.token(arrived, last, at)
	}
}

// The linter of promtool may find what is of others' making, and nothing else.
func TestMetricsLint(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, mirrored)
	f.recordEverything()
	problems, err := promlint.NewWithMetricFamilies(slices.Collect(maps.Values(f.scrape()))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "vllm:") && strings.Contains(p.Text, "':'") {
			continue // vLLM's names have colons
		}
		found = append(found, p.Metric+": "+p.Text)
	}
	slices.Sort(found)
	want := []string{"worker_inference_duration_ms: metric names should not contain abbreviated units"} // a name of the wire
	if !slices.Equal(found, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	if len(problems) < len(found)+len(mirrorNames) {
		t.Error("the linter says nothing of some colons: has it seen the mirror?")
	}
}

// recordEverything makes each metric have a value that has none before its first event.
func (f *fixture) recordEverything() {
	f.t.Helper()
	m := f.server.metrics
	m.observed(true, map[string]int64{"weights": 1})
	m.faulted(errors.New("unclassed"))
	if err := m.explain(nil); err != nil {
		f.t.Fatal(err)
	}
}
