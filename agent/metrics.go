package agent

import (
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"llorch/inference"
)

// outcomes of a request that began; each has its series from the start, so
// that rates work from the first scrape.
var outcomes = [...]string{"success", "error", "cancelled", "timeout"}

// refusalReasons label requests that never began.
var refusalReasons = [...]string{"invalid", "too_long", "busy", "busy_tokens", "deadline", "duplicate", "not_ready", "timeout", "cancelled", "internal"}

// Metrics are the worker's counters and gauges. worker_* names are the wire's;
// llorch_* names are our own; see mirror for vllm:*.
type Metrics struct {
	*processMetrics
	registry  *prometheus.Registry
	handler   gin.HandlerFunc
	requests  *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	generated prometheus.Counter
	duration  prometheus.Histogram
	resident  *prometheus.GaugeVec
	residency prometheus.Gauge
	restored  prometheus.Counter
	onDevice  *prometheus.GaugeVec // without labels: absent for devices without memory of their own
	card      cardMetrics
	serving   atomic.Pointer[serving]
	mirrors   bool
	mirror    atomic.Pointer[mirror] // nil until a model is loaded, or for ever
}

// NewMetrics registers everything in a registry of its own. started is the
// moment uptime counts from.
func NewMetrics(workerID string, m *Machine, started time.Time) *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	worker := prometheus.WrapRegistererWith(prometheus.Labels{"worker_id": workerID}, r)
	x := &Metrics{
		registry: r, processMetrics: newProcessMetrics(worker, m),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "worker_requests_total", Help: "Requests that began, by how they ended."}, []string{"outcome"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "llorch_requests_refused_total", Help: "Requests that never began, by reason."}, []string{"reason"}),
		generated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "worker_tokens_generated_total", Help: "Tokens sent to clients."}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "worker_inference_duration_ms", Help: "Time from the start of a stream to its end, in milliseconds.",
			Buckets: []float64{10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 300000}}),
		resident: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "llorch_resident_bytes", Help: "Bytes found resident by the last check, by class of memory."}, []string{"class"}),
		residency: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "llorch_residency_ok", Help: "1 when the last residency check found everything in place."}),
		restored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "llorch_residency_restored_bytes_total", Help: "Bytes that were found missing from memory and read in again."}),
		onDevice: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "llorch_device_process_bytes", Help: "Device memory of this process by the driver's management library, at the last residency check."}, nil),
	}
	for _, o := range outcomes {
		x.requests.WithLabelValues(o)
	}
	for _, reason := range refusalReasons {
		x.refusals.WithLabelValues(reason)
	}
	worker.MustRegister(x.requests, x.refusals, x.generated, x.duration, x.resident, x.residency, x.restored, x.onDevice)
	x.card = newCardMetrics(worker)
	x.registerLive(worker, m, started)
	h := promhttp.HandlerFor(r, promhttp.HandlerOpts{})
	x.handler = func(c *gin.Context) { h.ServeHTTP(c.Writer, c.Request) }
	return x
}

// registerLive adds the values that are read when scraped, from atomics.
func (x *Metrics) registerLive(r prometheus.Registerer, m *Machine, started time.Time) {
	gauge := func(name, help string, read func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
	}
	counter := func(name, help string, read func() float64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read))
	}
	gauge("worker_uptime_seconds", "Seconds since the process started.", func() float64 { return time.Since(started).Seconds() })
	gauge("worker_vram_bytes", "Bytes held on the device: weights, cache and scratch.", func() float64 {
		if v := x.serving.Load(); v != nil {
			return float64(v.info.DeviceBytes)
		}
		return 0
	})
	counter("worker_tokens_in_total", "Prompt tokens, those found in the prefix cache too, counted with the first token of each request.", func() float64 { return float64(x.stats().TokensIn) })
	counter("llorch_step_heartbeat_total", "Steps of the engine: it stands still while requests run only if the device hangs.",
		func() float64 { return float64(x.stats().Steps) })
	gauge("llorch_slots_busy", "Requests being computed.", func() float64 { return float64(x.stats().SlotsBusy) })
	gauge("llorch_requests_queued", "Requests waiting for a slot.", func() float64 { return float64(x.stats().Queued) })
	gauge("llorch_queue_tokens", "Tokens of the requests that wait: prompts and expected answers.", func() float64 { return float64(x.stats().QueuedTokens) })
	gauge("llorch_queue_wait_seconds", "How long a request that came now would wait for its first step, by what has been measured.",
		func() float64 { return x.stats().QueueWait.Seconds() })
	counter("llorch_preemptions_total", "Sequences set back for want of cache pages.", func() float64 { return float64(x.stats().Preemptions) })
	gauge("llorch_cache_pages_free", "Pages of the KV cache that nobody holds; those with the beginning of a known prompt count.", func() float64 { return float64(x.stats().PagesFree) })
	gauge("llorch_cache_pages", "Pages of the KV cache.", func() float64 { return float64(x.stats().PagesTotal) })
	gauge("llorch_prefix_cache_pages", "Pages of the KV cache with the beginning of a known prompt, in use or not.",
		func() float64 { return float64(x.stats().PagesCached) })
	counter("llorch_prefix_cache_queries_tokens_total", "Prompt tokens looked up in the prefix cache, once a request.",
		func() float64 { return float64(x.stats().PrefixQueries) })
	counter("llorch_prefix_cache_hits_tokens_total", "Prompt tokens found in the prefix cache, and not computed.",
		func() float64 { return float64(x.stats().PrefixHits) })
	counter("llorch_prefix_cache_evictions_total", "Pages of known prompts that were given up for want of room.",
		func() float64 { return float64(x.stats().Evictions) })
	gauge("llorch_residency_missing_bytes", "Bytes of the model's memory that the last residency check did not find in memory.",
		func() float64 { return float64(m.Residency().Missing) })
	gauge("llorch_state", "State of the worker: 0 starting, 1 loading, 2 verifying, 3 registering, 4 ready, 5 busy, 6 degraded, 7 faulted, 8 draining, 9 stopped.",
		func() float64 { s, _ := m.State(); return float64(s) })
	gauge("llorch_load_progress", "Share of the model that is loaded, 0 to 1.", func() float64 { return float64(m.Progress().Percent) / 100 })
}

func (x *Metrics) stats() inference.Stats {
	if v := x.serving.Load(); v != nil {
		return v.engine.Stats()
	}
	return inference.Stats{}
}

// MirrorVLLM adds vLLM's names for what the worker knows, from the moment its
// model is loaded. It is called before that.
func (x *Metrics) MirrorVLLM() { x.mirrors = true }

func (x *Metrics) attach(e Engine, info ModelInfo) {
	x.serving.Store(&serving{e, info})
	if x.mirrors {
		x.mirror.Store(newMirror(x.registry, info, x.stats))
	}
}

func (x *Metrics) serve(c *gin.Context) { x.handler(c) }

func (x *Metrics) refused(reason string) {
	x.refusals.WithLabelValues(reason).Inc()
	x.mirror.Load().refused(reason)
}

func (x *Metrics) finished(outcome string, took time.Duration) {
	x.requests.WithLabelValues(outcome).Inc()
	x.duration.Observe(float64(took.Microseconds()) / 1e3)
}

// observed records a residency check: bytes found in place, by class.
func (x *Metrics) observed(ok bool, bytes map[string]int64) {
	x.residency.Set(0)
	if ok {
		x.residency.Set(1)
	}
	for class, n := range bytes {
		x.resident.WithLabelValues(class).Set(float64(n))
	}
}

// process records what the management library counts of the device's memory.
func (x *Metrics) process(bytes int64) { x.onDevice.WithLabelValues().Set(float64(bytes)) }
