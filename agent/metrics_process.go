package agent

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"llorch/callback"
	"llorch/inference"
	"llorch/residency"
)

// processMetrics are the metrics of the process's own life: what it loaded,
// what it holds beyond that, its orchestrator, its faults and its end.
type processMetrics struct {
	unexplained  *prometheus.GaugeVec // without labels: a vector has no value until it is set
	faults       *prometheus.GaugeVec
	attempts     *prometheus.CounterVec
	release      prometheus.Histogram
	panics       prometheus.Counter
	registration atomic.Int32
	cutting      atomic.Bool
	loaded       atomic.Int64
}

func newProcessMetrics(r prometheus.Registerer, m *Machine) *processMetrics {
	x := &processMetrics{
		unexplained: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "llorch_memory_unexplained_bytes",
			Help: "RSS less what of the model's memory is in it, at the last residency check: what the program itself takes, and leaks."}, nil),
		faults: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "llorch_device_fault",
			Help: "1 after a device fault, by its class; absent while there is none. The process ends soon after."}, []string{"class"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "llorch_callback_attempts_total",
			Help: "Calls of the orchestrator, by how they ended."}, []string{"outcome"}),
		release: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "llorch_cancel_to_free_seconds",
			Help:    "From a cancel, a disconnect or a deadline to the moment slot and pages are free.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
	}
	x.panics = prometheus.NewCounter(prometheus.CounterOpts{Name: "llorch_handler_panics_total",
		Help: "Requests that met a bug of the worker; the log has the stacks. They are in no other counter."})
	for _, o := range callback.Outcomes {
		x.attempts.WithLabelValues(string(o))
	}
	r.MustRegister(x.unexplained, x.faults, x.attempts, x.release, x.panics,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "llorch_registration_state",
			Help: "Standing with the orchestrator: 0 unregistered or standalone, 1 registering, 2 registered, 3 lost, " +
				"4 registering again, 5 deregistering, 6 deregistered."},
			func() float64 { return float64(x.registration.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "llorch_drain_state",
			Help: "0 serving, 1 draining: running requests have their time, 2 cutting those that are left."},
			func() float64 { return x.drainState(m) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "llorch_load_bytes_total",
			Help: "Bytes of the model that are loaded."}, func() float64 { return x.loadedBytes(m) }))
	return x
}

func (x *processMetrics) drainState(m *Machine) float64 {
	switch s, _ := m.State(); {
	case s != Draining && s != Stopped:
		return 0
	case x.cutting.Load():
		return 2
	}
	return 1
}

// loadedBytes never goes back: the phases of a load have totals of their own,
// and a counter that falls reads as a restart.
func (x *processMetrics) loadedBytes(m *Machine) float64 {
	n := m.Progress().BytesDone
	for {
		old := x.loaded.Load()
		if n <= old {
			return float64(old)
		}
		if x.loaded.CompareAndSwap(old, n) {
			return float64(n)
		}
	}
}

func (x *processMetrics) standing(s callback.State) { x.registration.Store(int32(s)) }

func (x *processMetrics) called(o callback.Outcome) { x.attempts.WithLabelValues(string(o)).Inc() }

// faulted records a device fault. One without a class still is one.
func (x *processMetrics) faulted(err error) {
	class := inference.FaultClass(err)
	if class == "" {
		class = "unknown"
	}
	x.faults.WithLabelValues(class).Set(1)
}

// explain compares what the process holds with what a residency check has just
// found of the model.
func (x *processMetrics) explain(held map[string]int64) error {
	p, err := residency.ReadProcess(context.Background())
	if err != nil {
		return err
	}
	rest := p.RSS
	for _, n := range held {
		rest -= n
	}
	x.unexplained.WithLabelValues().Set(float64(rest))
	return nil
}
