// Package bench measures the worker on this machine through the real path: a
// model file, the loader, the engine, and for start, memory and traffic the
// worker's own process. Beside every figure stands the limit of the hardware
// measured in the same run, because on a shared machine a figure alone means
// little; the gate (Check) judges fractions of limits, never seconds.
package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"llorch/agent"
	"llorch/inference"
)

// Options say what to measure.
type Options struct {
	Model    string // folder or file
	Load     inference.Options
	Repeats  int       // of each timing; the median counts. 0 = 3
	Tokens   int       // decoded for one timing; 0 = 48
	Contexts []int     // prompts before one sequence decodes, in tokens; empty = none; nil, here and below = as the device wants it
	Batches  []int     // sequences that decode at once
	Prompts  []int     // prompts of prefill, in tokens
	Before   int       // tokens before each sequence of a batch; 0 = as the device wants it
	Heat     float32   // temperature at which decode chooses its tokens; 0 = greedy
	Widen    bool      // the engine's MaxBatch grows to the largest of Batches
	Spawn    *Spawn    // starts the worker's process; nil = start and private memory are not measured
	Progress io.Writer // hears what is being measured; nil = nobody
}

func (o Options) withDefaults() Options {
	if o.Repeats <= 0 {
		o.Repeats = 3
	}
	if o.Tokens <= 0 {
		o.Tokens = 48
	}
	return o
}

// cases are what is measured where nobody has said it. A GPU computes hundreds of tokens
// in the time that a CPU takes for one.
func (o Options) cases(own bool) Options {
	contexts, batches, prompts, before := []int{16, 1024}, []int{4, 8}, []int{128, 512}, 16
	if own {
		contexts, batches, prompts, before = []int{16, 300, 1024}, []int{8, 32}, []int{512, 2048}, 300
	}
	if o.Contexts == nil {
		o.Contexts = contexts
	}
	if o.Batches == nil {
		o.Batches = batches
	}
	if o.Prompts == nil {
		o.Prompts = prompts
	}
	if o.Before <= 0 {
		o.Before = before
	}
	if o.Widen && len(o.Batches) > 0 {
		o.Load.MaxBatch = max(o.Load.MaxBatch, slices.Max(o.Batches))
	}
	return o
}

func (o Options) say(format string, args ...any) {
	if o.Progress != nil {
		fmt.Fprintf(o.Progress, format+"\n", args...)
	}
}

// Report is everything one run measured.
type Report struct {
	Device       string        `json:"device"`
	ISA          string        `json:"isa"`
	Threads      int           `json:"threads"`
	OwnMemory    bool          `json:"own_memory"` // of the device: the host's holds no weights
	Model        string        `json:"model"`
	Format       string        `json:"format"`
	Limits       []Limits      `json:"limits"` // in the order of time, one more than there are timings
	Load         time.Duration `json:"load_ns"`
	Phases       []Phase       `json:"load_phases"`
	TTFT         time.Duration `json:"ttft_ns"` // a prompt of 16 tokens
	HTTP         time.Duration `json:"http_ns"` // of one token through HTTP and SSE
	WeightBytes  int64         `json:"weight_bytes"`
	CacheBytes   int64         `json:"cache_bytes"`
	ScratchBytes int64         `json:"scratch_bytes"`
	StepBytes    int64         `json:"step_weight_bytes"`     // of weights, read by one decode step
	TokenBytes   int64         `json:"cache_bytes_per_token"` // of context
	Temperature  float32       `json:"temperature,omitempty"` // of decode
	Decode       []Decode      `json:"decode"`
	Prefill      []Prefill     `json:"prefill"`
	Process      *Process      `json:"process,omitempty"`
}

// Decode is the speed of sequences that decode at once.
type Decode struct {
	Batch     int           `json:"batch"`
	Prompt    int           `json:"prompt"`  // tokens of each before it decodes
	Context   int           `json:"context"` // tokens of each in the middle of the timing
	Steps     int           `json:"steps"`   // that were timed; their median counts
	TokensSec float64       `json:"tokens_per_second"`
	P99       time.Duration `json:"step_p99_ns"`
	StepBytes float64       `json:"step_bytes"`         // weights once, and each sequence's cache
	GBs       float64       `json:"read_gb_per_second"` // reached
	Limits    Limits        `json:"limits"`             // the larger of those before and after
}

// Fraction is the share of the read limit that was reached.
func (d Decode) Fraction() float64 { return d.GBs / d.Limits.ReadGBs }

// FractionWhere is the share of what reading the weights alone gives where they lie, as it
// is Where, and of the read limit where that was not measured, which is Read. A file is where
// somebody has put it: copies of one file were read at 82 to 100 % of the read limit, and
// that is no property of what reads them.
func (d Decode) FractionWhere() (float64, Unit) {
	if d.Limits.WeightsGBs > 0 {
		return d.GBs / d.Limits.WeightsGBs, Where
	}
	return d.Fraction(), Read
}

// Prefill is the speed of one prompt.
type Prefill struct {
	Tokens    int     `json:"tokens"`
	TokensSec float64 `json:"tokens_per_second"`
	GFlops    float64 `json:"gflops"` // reached in the projections; attention's products are not counted
	Limits    Limits  `json:"limits"`
}

// Fraction is the share of a unit's limit that was reached; 0 where there is no
// such unit.
func (p Prefill) Fraction(u Unit) float64 {
	if l := p.Limits.of(u); l > 0 {
		return p.GFlops / l
	}
	return 0
}

// Run measures. The engine's device must be able to measure its limits.
func Run(ctx context.Context, o Options) (*Report, error) {
	_, own, err := inference.RoomFor(o.Load)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	o = o.withDefaults().cases(own)
	var process *Process
	if o.Spawn != nil {
		if process, err = measureProcess(ctx, o); err != nil {
			return nil, err
		}
	}
	phases := phaseMeter{began: time.Now()}
	ins, err := inference.Inspect(o.Model)
	if err != nil {
		return nil, err
	}
	plan, _, err := agent.Forecast(ctx, ins, &o.Load) // the cache is planned as a worker's is
	if err != nil {
		_ = ins.Close()
		return nil, err
	}
	cost := costOf(ins, plan)
	o.Load.Progress = phases.step
	e, err := inference.Load(ctx, ins, o.Load)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	r := newReport(e, &cost, process)
	r.Temperature = o.Heat
	r.Load, r.Phases = phases.end()
	m := &meter{ctx: ctx, e: e, o: o, cost: cost}
	if err := m.measure(r); err != nil {
		return nil, err
	}
	return r, nil
}

// newReport has what is known before anything is measured.
func newReport(e *inference.Engine, c *cost, p *Process) *Report {
	info := e.Info()
	c.cached(info.Plan)
	return &Report{
		Device: info.Device.Name, ISA: info.Device.ISA, Threads: info.Device.Threads, OwnMemory: e.OwnMemory(),
		Model: info.Name, Format: info.Quant,
		WeightBytes: info.Plan.Weights, CacheBytes: info.Plan.Cache, ScratchBytes: info.Plan.Scratch,
		StepBytes: c.weightBytes, TokenBytes: c.cacheBytes, Process: p,
	}
}

// measure fills r. Limits are measured before the first timing and after each.
func (m *meter) measure(r *Report) (err error) {
	m.o.say("warm-up")
	if _, err = m.stream(m.prompt(16), 8); err != nil {
		return err
	}
	if r.TTFT, err = m.median(func() (time.Duration, error) { s, err := m.stream(m.prompt(16), 1); return s.first, err }); err != nil {
		return err
	}
	m.o.say("HTTP and SSE")
	if r.HTTP, err = httpOverhead(m.ctx, m.e.Info().Vocab); err != nil {
		return err
	}
	if m.last, err = m.limits(); err != nil {
		return err
	}
	r.Limits = append(r.Limits, m.last)
	for _, n := range m.o.Prompts {
		if n == m.e.Info().MaxPrompt+1 { // the model's whole context, in which an answer must fit too
			n--
		}
		if !m.fits(1, n, 1) {
			continue
		}
		p, err := m.prefill(n)
		if err != nil {
			return err
		}
		r.Prefill, r.Limits = append(r.Prefill, p), append(r.Limits, m.last)
	}
	for _, c := range m.o.decodes() {
		if !m.fits(c.batch, c.prompt, m.o.Tokens) {
			continue
		}
		d, err := m.decode(c.batch, c.prompt)
		if err != nil {
			return err
		}
		r.Decode, r.Limits = append(r.Decode, d), append(r.Limits, m.last)
	}
	return nil
}

// decoding is one case of decode.
type decoding struct{ batch, prompt int }

// decodes lists one sequence after each context, then the batches.
func (o Options) decodes() []decoding {
	var list []decoding
	for _, c := range o.Contexts {
		list = append(list, decoding{1, c})
	}
	for _, b := range o.Batches {
		list = append(list, decoding{b, o.Before})
	}
	return list
}

// fits says whether the engine can run such a case at once, and tells of one
// that it cannot.
func (m *meter) fits(batch, prompt, tokens int) bool {
	info := m.e.Info()
	need := prompt + tokens
	pages := (need + inference.PageSize - 1) / inference.PageSize
	if batch > info.MaxBatch || need > info.Context || prompt > info.MaxPrompt || batch*pages > info.Plan.Pages {
		m.o.say("not measured: %d at once with %d tokens each (batch %d, context %d, cache of %d pages)", batch, need, info.MaxBatch, info.Context, info.Plan.Pages)
		return false
	}
	return true
}
