package inference

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"llorch/inference/backend"
	"llorch/inference/kvcache"
)

// queueRounds is the automatic bound of what waits, in caches full. All that can
// be computed at once is in the cache, so who waits behind so many caches full
// waits for as many rounds of whole answers. With a cache of whole contexts and
// the usual queue only the number of requests binds.
const queueRounds = 8

// Info is what was loaded.
type Info struct {
	Name, Path          string // of the model
	Architecture, Quant string // "llama", "BF16"
	TokenizerKind       string // "hf-json"
	TokenizerVocab      int
	Warnings            []string // what is odd about the model and does not stop a load
	Vocab, Context      int
	Layers, Hidden, FFN int
	Heads, KVHeads      int
	HeadDim             int
	MaxBatch, MaxQueue  int
	// QueueTokens bounds the tokens of requests that wait, prompts and expected
	// answers; by default queueRounds times what the cache holds.
	QueueTokens int
	MaxPrompt   int // tokens
	Params      int64
	FileBytes   int64 // of the weight files
	Plan        Plan
	// LongStep bounds what a prefill step takes, from the warm-up's: its rows
	// cost more each than those of a full step. Long contexts add to it.
	LongStep time.Duration
	Digest   string                // of all files of the model, "xxh3:…"; "" where it was not computed
	Held     map[backend.Use]int64 // by the device, its own working memory counted as scratch
	Device   backend.Info
	BOS      int32
	EOS      []int32
}

// Load opens the device, makes the weights resident, allocates cache and
// scratch, warms up and starts the engine. It owns ins from then on, also when
// it fails. Cancelling ctx stops loading.
func Load(ctx context.Context, ins *Inspection, o Options) (*Engine, error) {
	o = o.withDefaults()
	e := &Engine{
		closers: []func() error{ins.Close}, eos: map[int32]bool{}, inFlight: map[string]bool{},
		wake: make(chan struct{}, 1), left: make(chan struct{}, 1), stopped: make(chan struct{}), faulted: make(chan struct{}),
		release: make(chan struct{}), released: make(chan error, 1), now: o.now, onFault: o.Faulted, turns: [2]*turn{{}, {}},
	}
	for _, id := range ins.Spec.EOS {
		e.eos[id] = true
	}
	loaded := make(chan error)
	go e.live(ctx, ins, o, loaded)
	if err := <-loaded; err != nil {
		return nil, err
	}
	return e, nil
}

// live is the whole life of the device, from opening to closing, on one goroutine
// and one OS thread: a GPU's context belongs to the thread.
func (e *Engine) live(ctx context.Context, ins *Inspection, o Options, loaded chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	dev, err := backend.Open(o.Device, backend.Options{Index: o.Index, Threads: o.Threads, ISA: o.ISA})
	if err == nil {
		dev, err = withFaults(dev)
	}
	if err != nil {
		loaded <- errors.Join(err, ins.Close())
		return
	}
	e.dev, e.pipe = dev, backend.Pipelining(dev)
	if err := e.load(ctx, ins, o); err != nil {
		loaded <- errors.Join(fmt.Errorf("inference: load %s: %w", ins.Source.Path, err), dev.Close(), ins.Close())
		return
	}
	loaded <- nil
	e.loop()
	<-e.release // a device that has faulted is kept until then, for whoever looks at its memory
	e.released <- dev.Close()
}

func (e *Engine) load(ctx context.Context, ins *Inspection, o Options) error {
	if err := ins.CheckCache(o.CacheType); err != nil {
		return err
	}
	plan := ins.Plan(o)
	if err := plan.possible(); err != nil {
		return err
	}
	if err := ins.quantizable(o); err != nil {
		return err
	}
	// The tokenizer is read beside all that comes until it is waited for, and ends
	// that where it cannot be read.
	reading, stop := ins.untilUnreadable(ctx)
	defer stop()
	w, err := deliver(reading, ins, e.dev, o.Verify)
	if err != nil {
		return err
	}
	defer w.stop()
	meter := newLoadMeter(o.Progress, ins.Source.FileBytes(), ins.Spec.Layers)
	err = e.place(reading, ins, o, &plan, w, meter)
	if unreadable := ins.Await(); err != nil || unreadable != nil {
		return cmp.Or(unreadable, err)
	}
	e.tok = ins.Tok
	// The check runs beside what came so far. The warm-up is not for damaged
	// weights, and wants the cores to itself.
	digest, err := w.check.digest(ctx, meter)
	if err != nil {
		return err
	}
	e.describe(ins, o, plan, digest)
	meter.step("warmup")
	if err := e.warmUp(o.ChunkTokens, w.check != nil, meter); err != nil {
		return err
	}
	if backend.Observing(e.dev) != nil { // it has a copy, and the host need not keep its own
		if err := ins.Source.Unmap(); err != nil {
			return err
		}
	}
	// From here on the device belongs to the loop, and holds all it ever will.
	e.info.Held, e.regions = e.dev.Held(), e.dev.Regions()
	return nil
}

// describe sets what is known of the model, and how requests are scheduled and admitted.
func (e *Engine) describe(ins *Inspection, o Options, plan Plan, digest string) {
	e.info = ins.info(o, plan)
	e.info.Digest = digest
	e.info.Device = e.dev.Info()
	e.sched = &scheduler{pool: kvcache.NewPool(plan.Pages, PageSize), maxBatch: o.MaxBatch, chunk: o.ChunkTokens, mixed: o.MixedTokens,
		prefixes: prefixes{off: o.PrefixCache == PrefixCacheOff}}
	e.admission = admission{
		slots: e.info.MaxBatch, waiters: e.info.MaxQueue, tokens: e.info.QueueTokens,
		cache: plan.Pages * PageSize, pace: pace{share: firstShare},
	}
	e.publish()
}

// place brings the weights to the device and allocates the cache.
func (e *Engine) place(ctx context.Context, ins *Inspection, o Options, plan *Plan, w *delivery, meter *loadMeter) (err error) {
	w.watch(meter)
	plan.limits.Placed, plan.limits.Later = meter.converting(ctx, plan.Quantized), w.later()
	if err := w.populate(ctx, meter); err != nil {
		return err
	}
	meter.step("place")
	if e.model, err = ins.Config.Load(e.dev, ins.Source, plan.limits); err != nil {
		return err
	}
	meter.placed = 1
	if e.kv, err = allocCache(ctx, e.dev, ins, o, *plan, meter); err != nil {
		return err
	}
	return w.fill(meter)
}

// allocCache allocates the pages of every layer, which may take long: each page
// is written. It stops when ctx ends.
func allocCache(ctx context.Context, d backend.Device, ins *Inspection, o Options, p Plan, m *loadMeter) ([]backend.KV, error) {
	var kv []backend.KV
	rows := p.Pages * PageSize * ins.Spec.KVHeads
	for i := range ins.Spec.Layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m.cache = float64(i) / float64(ins.Spec.Layers)
		m.step("cache")
		k, err := d.Alloc(backend.Cache, o.CacheType, rows, ins.Spec.HeadDim)
		if err != nil {
			return nil, fmt.Errorf("key cache: %w", err)
		}
		v, err := d.Alloc(backend.Cache, o.CacheType, rows, ins.Spec.HeadDim)
		if err != nil {
			return nil, fmt.Errorf("value cache: %w", err)
		}
		kv = append(kv, backend.KV{K: k, V: v, PageSize: PageSize})
	}
	m.cache = 1
	return kv, nil
}

func (ins *Inspection) info(o Options, p Plan) Info {
	s := ins.Spec
	prompt := p.Context - 1 // an answer needs one
	if o.MaxPrompt > 0 {
		prompt = min(prompt, o.MaxPrompt)
	}
	queue := max(o.MaxQueue, 0)
	tokens := o.QueueTokens
	if tokens <= 0 {
		tokens = p.Pages * PageSize * queueRounds
	}
	return Info{
		MaxPrompt: prompt,
		Name:      ins.Name, Path: ins.Source.Path, Architecture: s.Architecture, Quant: ins.quant(o),
		TokenizerKind: ins.Tok.Kind(), TokenizerVocab: ins.Tok.VocabSize(), Warnings: slices.Concat(ins.Source.Warnings, s.Warnings), Vocab: s.Vocab, Context: p.Context, Layers: s.Layers, Hidden: s.Hidden, FFN: s.FFN,
		Heads: s.Heads, KVHeads: s.KVHeads, HeadDim: s.HeadDim, MaxBatch: o.MaxBatch, MaxQueue: queue, QueueTokens: tokens,
		Params: ins.Params(), FileBytes: ins.Source.FileBytes(), Plan: p, BOS: s.BOS, EOS: s.EOS,
	}
}
