package agent

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"llorch/inference"
)

// mirror exports what the worker knows under the names that vLLM gives it, so
// that routers, autoscalers and dashboards made for vLLM read a worker
// unchanged. Names, types, labels and bucket bounds are vLLM's; a name without
// a true value here is absent, not zero:
//
//   - lora_requests_info, spec_decode_*: there are no such features;
//   - iteration_tokens_total: the engine does not tell how many tokens a step had.
//
// What differs from vLLM is said in the help texts. Above all: histograms of
// whole requests hold the requests that ended well, because only those have the
// engine's account; request_success_total counts every request that began, once.
//
// The model's name and context are known once it is loaded, so the mirror
// appears then, as vLLM's own metrics do. A nil mirror records nothing.
type mirror struct {
	success                                *prometheus.CounterVec
	rejected                               *prometheus.CounterVec
	firstToken, interToken                 prometheus.Histogram
	e2e, queue, prefill, decode, inference prometheus.Histogram
	promptTokens, generationTokens         prometheus.Histogram
	maxTokens, choices                     prometheus.Histogram
}

// rejections are vLLM's words for refusals for want of room.
var rejections = map[string]string{"busy": "max_num_queued_reqs", "busy_tokens": "max_num_queued_tokens"}

// finishedReasons are vLLM's words for how a request ended.
var finishedReasons = [...]string{"stop", "length", "abort", "error"}

// Bucket bounds of vLLM, in seconds: equal ones let quantiles of mixed fleets be
// computed from the sum of the buckets.
var (
	firstTokenBuckets = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	perTokenBuckets   = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	requestBuckets    = []float64{.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
	choicesBuckets    = []float64{1, 2, 5, 10, 20}
)

// sizeBuckets are 1, 2, 5, 10, 20, 50 … up to the longest sequence.
func sizeBuckets(longest int) []float64 {
	var bounds []float64
	for decade := 1; ; decade *= 10 {
		for _, m := range []int{1, 2, 5} {
			if m*decade > longest {
				return bounds
			}
			bounds = append(bounds, float64(m*decade))
		}
	}
}

// newMirror registers the mirror of a loaded model.
func newMirror(r prometheus.Registerer, info ModelInfo, stats func() inference.Stats) *mirror {
	model := strings.ToValidUTF8(info.Name, "�") // a folder's name may be any bytes, a label's value may not
	perModel := prometheus.WrapRegistererWith(prometheus.Labels{"model_name": model, "engine": "0"}, r)
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "vllm:" + name, Help: help, Buckets: buckets})
		perModel.MustRegister(h)
		return h
	}
	sizes := sizeBuckets(info.ContextLength)
	m := &mirror{
		success: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vllm:request_success_total",
			Help: "Requests that began, by how they ended; cancelled, out of time and cut by a drain are abort."}, []string{"finished_reason"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vllm:admission_rejections_total",
			Help: "Requests refused because the queue was full, in requests or in tokens; of those, prompts and expected answers count.",
		}, []string{"reason"}),
		firstToken: histogram("time_to_first_token_seconds", "From taking a request in to its first token.", firstTokenBuckets),
		interToken: histogram("inter_token_latency_seconds", "Between two tokens of a request.", perTokenBuckets),
		e2e:        histogram("e2e_request_latency_seconds", "From taking a request in to its end, of requests that ended well.", requestBuckets),
		queue:      histogram("request_queue_time_seconds", "Waiting for the first step, of requests that ended well.", requestBuckets),
		prefill:    histogram("request_prefill_time_seconds", "From the first step to the first token, of requests that ended well.", requestBuckets),
		decode:     histogram("request_decode_time_seconds", "From the first token to the last, of requests that ended well.", requestBuckets),
		inference:  histogram("request_inference_time_seconds", "From the first step to the last token, of requests that ended well.", requestBuckets),

		promptTokens:     histogram("request_prompt_tokens", "Tokens of the prompt, of requests that ended well.", sizes),
		generationTokens: histogram("request_generation_tokens", "Tokens sent, of requests that ended well.", sizes),
		maxTokens:        histogram("request_params_max_tokens", "The max_tokens asked for, of requests that ended well.", sizes),
		choices:          histogram("request_params_n", "Answers asked for, of requests that ended well: always 1.", choicesBuckets),
	}
	for _, reason := range finishedReasons {
		m.success.WithLabelValues(reason)
	}
	for _, name := range rejections {
		m.rejected.WithLabelValues(name)
	}
	perModel.MustRegister(m.success, m.rejected)
	perModel.MustRegister(renamed(m.interToken, "vllm:time_per_output_token_seconds", "The older name of inter_token_latency_seconds."))
	perModel.MustRegister(renamed(m.generationTokens, "vllm:request_max_num_generation_tokens",
		"Tokens of the longest answer of a request; with one answer a request the same as request_generation_tokens."))
	mirrorEngine(perModel, r, stats)
	return m
}

// mirrorEngine adds the values that are the engine's own, read when scraped.
func mirrorEngine(perModel, r prometheus.Registerer, stats func() inference.Stats) {
	gauge := func(name, help string, read func(s inference.Stats) float64) {
		perModel.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vllm:" + name, Help: help},
			func() float64 { return read(stats()) }))
	}
	counter := func(name, help string, read func(s inference.Stats) uint64) {
		perModel.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "vllm:" + name, Help: help},
			func() float64 { return float64(read(stats())) }))
	}
	gauge("num_requests_running", "Requests being computed.", func(s inference.Stats) float64 { return float64(s.SlotsBusy) })
	gauge("num_requests_waiting", "Requests waiting for a slot.", func(s inference.Stats) float64 { return float64(s.Queued) })
	gauge("kv_cache_usage_perc", "Share of the cache's pages that requests hold, 0 to 1.", func(s inference.Stats) float64 {
		return float64(s.PagesTotal-s.PagesFree) / float64(max(s.PagesTotal, 1))
	})
	counter("prompt_tokens_total", "Prompt tokens, those found in the prefix cache too, counted with the first token of each request.",
		func(s inference.Stats) uint64 { return s.TokensIn })
	counter("generation_tokens_total", "Tokens made, less those that only end a text.",
		func(s inference.Stats) uint64 { return s.TokensOut })
	counter("prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache, once a request.",
		func(s inference.Stats) uint64 { return s.PrefixQueries })
	counter("prefix_cache_hits_total", "Prompt tokens found in the prefix cache.",
		func(s inference.Stats) uint64 { return s.PrefixHits })
	counter("num_preemptions_total", "Sequences set back for want of cache pages, counted when their request ends.",
		func(s inference.Stats) uint64 { return s.Preemptions })
	s := stats()
	shape := prometheus.Labels{"engine": "0", "block_size": strconv.Itoa(s.PageSize), "num_gpu_blocks": strconv.Itoa(s.PagesTotal)}
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vllm:cache_config_info", ConstLabels: shape,
		Help: "Shape of the cache: tokens of a page, and pages; on whatever device it lies."}, func() float64 { return 1 }))
}

// token records a token made at a moment; last is the one before it, zero for none.
func (m *mirror) token(arrived, last, at time.Time) {
	switch {
	case m == nil:
	case last.IsZero():
		m.firstToken.Observe(at.Sub(arrived).Seconds())
	default:
		m.interToken.Observe(at.Sub(last).Seconds())
	}
}

// finished records the one end of a request.
func (m *mirror) finished(last inference.Event, arrived time.Time, maxTokens int) {
	if m == nil {
		return
	}
	m.success.WithLabelValues(finishedReason(last)).Inc()
	e := last.End
	if e == nil {
		return
	}
	m.e2e.Observe(last.At.Sub(arrived).Seconds())
	m.queue.Observe(e.Queued.Seconds())
	m.prefill.Observe(e.Prefill.Seconds())
	m.decode.Observe((e.Decode - e.Prefill).Seconds())
	m.inference.Observe(e.Decode.Seconds())
	m.promptTokens.Observe(float64(e.TokensIn))
	m.generationTokens.Observe(float64(e.TokensOut))
	m.maxTokens.Observe(float64(maxTokens))
	m.choices.Observe(1)
}

// refused records a refusal for want of room; refusals for other reasons have no name in vLLM.
func (m *mirror) refused(reason string) {
	if name, ok := rejections[reason]; ok && m != nil {
		m.rejected.WithLabelValues(name).Inc()
	}
}

func finishedReason(last inference.Event) string {
	switch outcomeOf(last) {
	case "success":
		if last.End.Reason == inference.StopMaxTokens {
			return "length"
		}
		return "stop"
	case "cancelled", "timeout":
		return "abort"
	}
	return "error"
}
