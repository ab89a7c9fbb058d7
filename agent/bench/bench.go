// Package bench measures the worker on this machine through the real path:
// a model file, the loader, the engine. Beside every figure stands the limit of
// the hardware measured in the same run, because on a shared machine a figure
// alone means little.
package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"llorch/inference"
)

// Options say what to measure.
type Options struct {
	Model    string // folder
	Load     inference.Options
	Repeats  int // of each timing; the median counts. 0 = 3
	Tokens   int // decoded for one timing; 0 = 48
	Progress io.Writer
}

// Report is everything one run measured.
type Report struct {
	Device       string        `json:"device"`
	Threads      int           `json:"threads"`
	Model        string        `json:"model"`
	Format       string        `json:"format"`
	Limits       [2]Limits     `json:"limits"` // before and after
	Load         time.Duration `json:"load_ns"`
	TTFT         time.Duration `json:"ttft_ns"` // a prompt of 16 tokens
	HTTP         time.Duration `json:"http_ns"` // of one token through HTTP and SSE
	WeightBytes  int64         `json:"weight_bytes"`
	CacheBytes   int64         `json:"cache_bytes"`
	ScratchBytes int64         `json:"scratch_bytes"`
	PeakRSS      int64         `json:"peak_rss_bytes"`
	Decode       []Decode      `json:"decode"`
	Prefill      []Prefill     `json:"prefill"`
}

// Decode is the speed of n sequences that decode at once.
type Decode struct {
	Batch     int     `json:"batch"`
	Context   int     `json:"context"` // tokens in the middle of the timing
	TokensSec float64 `json:"tokens_per_second"`
	GBs       float64 `json:"read_gb_per_second"` // weights and cache, once a step
}

// Prefill is the speed of one prompt.
type Prefill struct {
	Tokens    int     `json:"tokens"`
	TokensSec float64 `json:"tokens_per_second"`
	GFlops    float64 `json:"gflops"`
}

// Run measures. The engine's device must be able to measure its limits.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Repeats <= 0 {
		o.Repeats = 3
	}
	if o.Tokens <= 0 {
		o.Tokens = 48
	}
	began := time.Now()
	ins, err := inference.Inspect(o.Model)
	if err != nil {
		return nil, err
	}
	cost := costOf(ins)
	e, err := inference.Load(ctx, ins, o.Load)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	info := e.Info()
	r := &Report{
		Device: info.Device.Name + ", " + info.Device.ISA, Threads: info.Device.Threads,
		Model: info.Name, Format: info.Quant, Load: time.Since(began),
		WeightBytes: info.Plan.Weights, CacheBytes: info.Plan.Cache, ScratchBytes: info.Plan.Scratch,
	}
	m := &meter{ctx: ctx, e: e, o: o, cost: cost}
	if err := m.measure(r); err != nil {
		return nil, err
	}
	return r, nil
}

// measure fills r. The limits come last in a run as well as first, and the
// peak of memory before them: measuring the limits takes memory of its own.
func (m *meter) measure(r *Report) (err error) {
	m.say("warm-up")
	if _, err = m.stream(16, 8); err != nil {
		return err
	}
	if r.TTFT, err = m.median(func() (time.Duration, error) { s, err := m.stream(16, 1); return s.first, err }); err != nil {
		return err
	}
	for _, n := range []int{128, 512} {
		p, err := m.prefill(n)
		if err != nil {
			return err
		}
		r.Prefill = append(r.Prefill, p)
	}
	r.PeakRSS = peakRSS()
	m.say("HTTP and SSE")
	if r.HTTP, err = httpOverhead(m.ctx, m.e.Info().Vocab); err != nil {
		return err
	}
	if r.Limits[0], err = m.limits(); err != nil {
		return err
	}
	for _, batch := range []int{1, 4, 8} {
		if batch > m.e.Info().MaxBatch {
			break
		}
		d, err := m.decode(batch)
		if err != nil {
			return err
		}
		r.Decode = append(r.Decode, d)
	}
	r.Limits[1], err = m.limits()
	return err
}

func (m *meter) say(format string, args ...any) {
	if m.o.Progress != nil {
		fmt.Fprintf(m.o.Progress, format+"\n", args...)
	}
}
