package backendtest

import (
	"math"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/backend/ref"
	"llorch/inference/sample"
	"llorch/inference/tensor"
)

// Short names, since the faults are mostly signatures.
type (
	device = backend.Device
	matrix = backend.Tensor
	batch  = backend.Batch
	heads  = backend.Heads
	parts  = backend.Linear
)

// broken is the reference device with one op replaced by a wrong one.
type broken struct {
	device
	linear    func(d device, dst, x matrix, w parts, b *batch)
	linearAdd func(d device, dst, x matrix, w parts, b *batch)
	norm      func(d device, dst, x, w matrix, eps float32)
	headNorm  func(d device, qkv, wq, wk matrix, h heads, eps float32)
	ropeStore func(d device, qkv matrix, kv backend.KV, r backend.Rope, h heads, b *batch)
	attend    func(d device, dst, qkv matrix, kv backend.KV, h heads, b *batch)
	swiGLU    func(d device, dst, gateUp matrix)
	embed     func(d device, dst, table matrix, b *batch)
	rows      func(d device, dst, x matrix, b *batch)
	sample    func(d device, dst []int32, logits matrix, p []sample.Params)
	alloc     func(d device, use backend.Use, t tensor.DType, rows, cols int) (matrix, error)
	held      func(d device) map[backend.Use]int64
	sync      func(d device) error
}

// The faults, each with a case of the suite that must see it.
var faults = []struct {
	name, seenBy string
	broken
}{
	{"forgets the last input", "linear", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		x = copied(d, x)
		for i := x.Cols - 1; i < x.Rows*x.Cols; i += x.Cols {
			x.Float32s()[i] = 0
		}
		d.Linear(dst, x, w, b)
	}}},
	{"rounds to bf16", "linear", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		d.Linear(dst, x, w, b)
		copy(dst.Float32s(), encoded(tensor.BF16, dst.Float32s()))
	}}},
	{"flushes small weights", "linear-range", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		d.Linear(dst, x, w, b)
		for i, v := range dst.Float32s() {
			if math.Abs(float64(v)) < 1.0/(1<<14) {
				dst.Float32s()[i] = 0
			}
		}
	}}},
	{"forgets the bias", "linear-parts", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		d.Linear(dst, x, withoutBias(w), b)
	}}},
	{"forgets the bias", "linear-exact", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		d.Linear(dst, x, withoutBias(w), b)
	}}},
	{"does not add", "linear", broken{linearAdd: func(d device, dst, x matrix, w parts, b *batch) {
		d.Linear(dst, x, w, b)
	}}},
	{"writes behind the destination", "linear", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		d.Linear(dst, x, w, b)
		*(*float32)(unsafe.Add(dst.Data, dst.Bytes())) = 0
	}}},
	{"reads behind the weights", "linear", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		last := w[len(w)-1].W
		d.Linear(dst, x, w, b)
		d.Download(make([]byte, 4), matrix{Type: tensor.F32, Rows: 1, Cols: 1, Data: unsafe.Add(last.Data, last.Bytes()-3)})
	}}},
	{"reads before the weights", "linear-alignment", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		d.Linear(dst, x, w, b)
		d.Download(make([]byte, 4), matrix{Type: tensor.F32, Rows: 1, Cols: 1, Data: unsafe.Add(w[0].W.Data, -1)})
	}}},
	{"sums in another order in a batch", "linear-rows", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		if d.Linear(dst, x, w, b); dst.Rows > 1 {
			nudge(&dst.Float32s()[0])
		}
	}}},
	{"takes no batch for prefill", "linear-rows", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		if d.Linear(dst, x, w, b); b == nil {
			nudge(&dst.Float32s()[0])
		}
	}}},
	{"turns NaN into zero", "not-finite", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		d.Linear(dst, x, w, b)
		for i, v := range dst.Float32s() {
			if v != v {
				dst.Float32s()[i] = 0
			}
		}
	}}},
	{"forgets the last input", "linear-codes", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		x = copied(d, x)
		for i := x.Cols - 1; i < x.Rows*x.Cols; i += x.Cols {
			x.Float32s()[i] = 0
		}
		d.Linear(dst, x, w, b)
	}}},
	{"rounds activations to 5 bits", "linear-loss", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		x = copied(d, x)
		for i, v := range x.Float32s() {
			x.Float32s()[i] = float32(math.RoundToEven(float64(v)*5) / 5)
		}
		d.Linear(dst, x, w, b)
	}}},
	{"turns NaN into zero", "linear-spoiled", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		d.Linear(dst, x, w, b)
		for i, v := range dst.Float32s() {
			if v != v {
				dst.Float32s()[i] = 0
			}
		}
	}}},
	{"takes small activations for zero", "linear-extremes", broken{linear: func(d device, dst, x matrix, w parts, b *batch) {
		x = copied(d, x)
		for i, v := range x.Float32s() {
			if math.Abs(float64(v)) < 1e-20 {
				x.Float32s()[i] = 0
			}
		}
		d.Linear(dst, x, w, b)
	}}},
	{"ignores eps", "rmsnorm", broken{norm: func(d device, dst, x, w matrix, _ float32) { d.RMSNorm(dst, x, w, 1e-30) }}},
	{"swaps the weights of q and k", "headnorm", broken{headNorm: func(d device, qkv, wq, wk matrix, h heads, eps float32) {
		d.HeadNorm(qkv, wk, wq, h, eps)
	}}},
	{"normalises v", "headnorm", broken{headNorm: func(d device, qkv, wq, wk matrix, h heads, eps float32) {
		h.Q += h.KV
		d.HeadNorm(qkv, wq, wk, h, eps)
	}}},
	{"knows one pairing", "rope-store", broken{ropeStore: func(d device, qkv matrix, kv backend.KV, r backend.Rope, h heads, b *batch) {
		r.Interleaved = false
		d.RopeStore(qkv, kv, r, h, b)
	}}},
	{"truncates v", "rope-store", broken{ropeStore: func(d device, qkv matrix, kv backend.KV, r backend.Rope, h heads, b *batch) {
		d.RopeStore(qkv, kv, r, h, b)
		at := int(b.Seqs[0].Pages[b.Positions[0]/int32(kv.PageSize)])*h.KV*kv.PageSize + int(b.Positions[0])%kv.PageSize
		kv.V.Slice(at, at+1).Host()[0] ^= 1
	}}},
	{"stores to the page behind", "rope-store", broken{ropeStore: func(d device, qkv matrix, kv backend.KV, r backend.Rope, h heads, b *batch) {
		d.RopeStore(qkv, kv, r, h, b)
		kv.K.Slice(kv.K.Rows-1, kv.K.Rows).Host()[0] ^= 1
	}}},
	{"ignores the window", "attend", broken{attend: func(d device, dst, qkv matrix, kv backend.KV, h heads, b *batch) {
		h.Window = 0
		d.Attend(dst, qkv, kv, h, b)
	}}},
	{"scales a little off", "attend", broken{attend: func(d device, dst, qkv matrix, kv backend.KV, h heads, b *batch) {
		h.Scale *= 1.0001
		d.Attend(dst, qkv, kv, h, b)
	}}},
	{"misses its own position", "attend-long", broken{attend: func(d device, dst, qkv matrix, kv backend.KV, h heads, b *batch) {
		early := *b
		early.Positions = slices.Clone(b.Positions)
		for i := range early.Positions {
			early.Positions[i] = max(0, early.Positions[i]-1)
		}
		d.Attend(dst, qkv, kv, h, &early)
	}}},
	{"rounds queries to 5 bits", "attend-loss", broken{attend: func(d device, dst, qkv matrix, kv backend.KV, h heads, b *batch) {
		x := copied(d, qkv)
		for i, v := range x.Float32s() {
			x.Float32s()[i] = float32(math.RoundToEven(float64(v)*5) / 5)
		}
		d.Attend(dst, x, kv, h, b)
	}}},
	{"depends on the number of sequences", "neighbours", broken{attend: func(d device, dst, qkv matrix, kv backend.KV, h heads, b *batch) {
		if d.Attend(dst, qkv, kv, h, b); len(b.Seqs) > 10 {
			nudge(&dst.Float32s()[0])
		}
	}}},
	{"depends on where a prefill is cut", "cuts", broken{attend: func(d device, dst, qkv matrix, kv backend.KV, h heads, b *batch) {
		if d.Attend(dst, qkv, kv, h, b); b.Seqs[0].Rows > 2*backend.ChunkQuantum {
			nudge(&dst.Float32s()[0])
		}
	}}},
	{"takes many decode rows for a prefill", "replay", broken{attend: func(d device, dst, qkv matrix, kv backend.KV, h heads, b *batch) {
		if d.Attend(dst, qkv, kv, h, b); b.Decode > 60 {
			nudge(&dst.Float32s()[0])
		}
	}}},
	{"has gate and up swapped", "swiglu", broken{swiGLU: func(d device, dst, gateUp matrix) {
		d.SwiGLU(dst, gateUp)
		for i := range dst.Float32s() {
			g, u := gateUp.Float32s()[i/dst.Cols*2*dst.Cols+i%dst.Cols], gateUp.Float32s()[(i/dst.Cols*2+1)*dst.Cols+i%dst.Cols]
			dst.Float32s()[i] = u / float32(1+math.Exp(-float64(u))) * g
		}
	}}},
	{"embeds one token for all", "embed", broken{embed: func(d device, dst, table matrix, b *batch) {
		d.Embed(dst, table, &batch{Tokens: slices.Repeat(b.Tokens[:1], b.Rows())})
	}}},
	{"takes the first rows", "rows", broken{rows: func(d device, dst, x matrix, b *batch) {
		copy(dst.Host(), x.Host())
	}}},
	{"is always greedy", "sample", broken{sample: func(d device, dst []int32, logits matrix, p []sample.Params) {
		d.Sample(dst, logits, make([]sample.Params, len(p)))
	}}},
	{"swallows failures", "sample-not-finite", broken{sync: func(d device) error { _ = d.Sync(); return nil }}},
	{"repeats failures", "sample-not-finite", broken{sync: func(d device) error { return sample.ErrNotFinite }}},
	{"aligns to 4 bytes", "memory", broken{alloc: func(d device, use backend.Use, t tensor.DType, rows, cols int) (matrix, error) {
		m, err := d.Alloc(use, t, rows+4, cols)
		m.Data, m.Rows = unsafe.Add(m.Data, 4), rows
		return m, err
	}}},
	{"does not count the cache", "held", broken{held: func(d device) map[backend.Use]int64 {
		h := d.Held()
		delete(h, backend.Cache)
		return h
	}}},
	{"fails for nothing", "sync", broken{sync: func(d device) error { return sample.ErrNotFinite }}},
}

// TestSuiteSeesFaults runs the case that must see a fault on the device that has
// it, and every named case on a whole device.
func TestSuiteSeesFaults(t *testing.T) {
	covered := map[string]bool{}
	for _, f := range faults {
		covered[f.seenBy] = true
		if !fails(t, f.seenBy, func(d device) device { b := f.broken; b.device = d; return &b }) {
			t.Errorf("a device that %s passes %q", f.name, f.seenBy)
		}
	}
	for _, c := range cases {
		if !covered[c.name] {
			t.Errorf("nothing shows that %q can fail", c.name)
		}
	}
}

// fails runs one case on the reference device behind wrap.
func fails(t *testing.T, name string, wrap func(device) device) bool {
	t.Helper()
	d, err := ref.Open(backend.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{TB: t}
	r := newRig(rec, wrap(d))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, c := range cases {
			if c.name == name {
				c.run(r)
			}
		}
	}()
	<-done
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	r.unmap()
	return rec.failed
}

// recorder takes the place of a test, notes that it failed and ends it there.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true; runtime.Goexit() }
func (r *recorder) Fatal(...any)          { r.failed = true; runtime.Goexit() }
func (r *recorder) Fatalf(string, ...any) { r.failed = true; runtime.Goexit() }

func nudge(x *float32) { *x = math.Nextafter32(*x, inf) }

func copied(d device, t matrix) matrix {
	c, err := d.Alloc(backend.Scratch, t.Type, t.Rows, t.Cols)
	if err != nil {
		panic(err)
	}
	copy(c.Host(), t.Host())
	return c
}

func withoutBias(w parts) parts {
	w = slices.Clone(w)
	for i := range w {
		w[i].B = matrix{}
	}
	return w
}
