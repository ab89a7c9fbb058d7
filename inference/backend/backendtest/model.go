package backendtest

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// variant is what a small model is made of.
type variant struct {
	name         string
	weights, kv  tensor.DType
	window       int
	interleaved  bool
	pageSize     int
	norm, biases bool
	hidden, ffn  int // multiples of the weights' block
	dim          int // of a head, 0 = 16; a multiple of the cache's block
}

var variants = [...]variant{
	{name: "bf16, f16 cache", weights: tensor.BF16, kv: tensor.F16, pageSize: 16, hidden: 40, ffn: 56},
	{name: "f16, f32 cache, window", weights: tensor.F16, kv: tensor.F32, window: 50, interleaved: true, pageSize: 64, norm: true, hidden: 40, ffn: 56},
	{name: "f32, bf16 cache, biases", weights: tensor.F32, kv: tensor.BF16, window: 20, pageSize: 8, biases: true, hidden: 40, ffn: 56},
	{name: "bf16, q8_0 cache", weights: tensor.BF16, kv: tensor.Q8_0, pageSize: 64, dim: 32, hidden: 40, ffn: 56},
	{name: "q8_0, f16 cache", weights: tensor.Q8_0, kv: tensor.F16, pageSize: 16, hidden: 64, ffn: 96},
	{name: "q4_0, f16 cache", weights: tensor.Q4_0, kv: tensor.F16, pageSize: 16, hidden: 96, ffn: 160},
}

const (
	vocab            = 50
	maxRows, maxSeqs = 512, 16
	maxPositions     = 320
	cacheRows        = 2560 // positions that the cache of a layer has room for
)

var modelHeads = backend.Heads{Q: 4, KV: 2, Dim: 16, Scale: 0.25}

// model is two layers of a decoder with random weights, the same in every run.
type model struct {
	*rig
	variant
	h                                   backend.Heads
	embed, last                         backend.Tensor
	head                                backend.Linear
	layers                              []layer
	rope                                backend.Rope
	x, y, qkv, att, gateUp, act, logits backend.Tensor
	free                                []int32
	pages                               map[int][]int32
}

type layer struct {
	attn, ffn, wq, wk  backend.Tensor
	qkv, out, up, down backend.Linear
	kv                 backend.KV
}

func newModel(r *rig, v variant) *model {
	r.Helper()
	r.rnd = rand.New(rand.NewPCG(3, 4))
	h, hidden, ffn := modelHeads, v.hidden, v.ffn
	h.Window = v.window
	if v.dim > 0 {
		h.Dim = v.dim
	}
	m := &model{rig: r, variant: v, h: h, pages: map[int][]int32{}}
	cols := (h.Q + 2*h.KV) * h.Dim
	m.embed, m.last = r.weight(v.weights, vocab, hidden, r.values(vocab*hidden)).Tensor, m.vector(hidden)
	m.head = m.projection(hidden, vocab)
	m.rope = r.rotation(maxPositions, h.Dim, v.interleaved).Rope
	pages := cacheRows / v.pageSize
	for range 2 {
		m.layers = append(m.layers, layer{
			attn: m.vector(hidden), ffn: m.vector(hidden), wq: m.vector(h.Dim), wk: m.vector(h.Dim),
			qkv: m.projection(hidden, h.Q*h.Dim, h.KV*h.Dim, h.KV*h.Dim), out: m.projection(h.Q*h.Dim, hidden),
			up: m.projection(hidden, ffn, ffn), down: m.projection(ffn, hidden),
			kv: backend.KV{K: r.stale(v.kv, cacheRows*h.KV, h.Dim), V: r.stale(v.kv, cacheRows*h.KV, h.Dim), PageSize: v.pageSize},
		})
	}
	for dst, n := range map[*backend.Tensor]int{
		&m.x: hidden, &m.y: hidden, &m.qkv: cols, &m.att: h.Q * h.Dim, &m.gateUp: 2 * ffn, &m.act: ffn, &m.logits: vocab,
	} {
		*dst = r.alloc(backend.Scratch, tensor.F32, maxRows, n)
	}
	for _, p := range rand.Perm(pages) { // its order must not matter
		m.free = append(m.free, int32(p))
	}
	return m
}

// stale returns cache memory full of NaN, as a failed request may leave it.
func (r *rig) stale(t tensor.DType, rows, cols int) backend.Tensor {
	r.Helper()
	m := r.alloc(backend.Cache, t, rows, cols)
	host, v := make([]byte, t.RowBytes(cols)), make([]float32, cols)
	for i := range v {
		v[i] = nan
	}
	t.Encode(host, v)
	r.d.Upload(m, bytes.Repeat(host, rows))
	return m
}

// vector is a norm or a bias, which is never blocked.
func (m *model) vector(n int) backend.Tensor {
	t := m.weights
	if t.Block() > 1 {
		t = tensor.F32
	}
	return m.weight(t, 1, n, m.values(n)).Tensor
}

func (m *model) projection(in int, outs ...int) backend.Linear {
	var l backend.Linear
	for _, out := range outs {
		v := m.values(out * in)
		for i := range v {
			v[i] /= float32(math.Sqrt(float64(in)))
		}
		p := backend.Part{W: m.weight(m.weights, out, in, v).Tensor}
		if m.biases {
			p.B = m.vector(out)
		}
		l = append(l, p)
	}
	return l
}

// forward returns the logits of all rows.
func (m *model) forward(b *backend.Batch) []float32 {
	const eps = 1e-5
	n := b.Rows()
	x, y, qkv, att := m.x.Slice(0, n), m.y.Slice(0, n), m.qkv.Slice(0, n), m.att.Slice(0, n)
	gateUp, act, logits := m.gateUp.Slice(0, n), m.act.Slice(0, n), m.logits.Slice(0, n)
	m.d.Embed(x, m.embed, b)
	for _, l := range m.layers {
		m.d.RMSNorm(y, x, l.attn, eps)
		m.d.Linear(qkv, y, l.qkv, b)
		if m.norm {
			m.d.HeadNorm(qkv, l.wq, l.wk, m.h, eps)
		}
		m.d.RopeStore(qkv, l.kv, m.rope, m.h, b)
		m.d.Attend(att, qkv, l.kv, m.h, b)
		m.d.LinearAdd(x, att, l.out, b)
		m.d.RMSNorm(y, x, l.ffn, eps)
		m.d.Linear(gateUp, y, l.up, b)
		m.d.SwiGLU(act, gateUp)
		m.d.LinearAdd(x, act, l.down, b)
	}
	m.d.Rows(y, x, b)
	m.d.RMSNorm(y, y, m.last, eps)
	m.d.Linear(logits, y, m.head, nil)
	return m.read(logits)
}

// share is what one sequence does in a step.
type share struct {
	seq int
	span
}

// place is a position of a sequence.
type place struct{ seq, position int }

// logitBits are the logits at every place that was computed.
type logitBits map[place][]uint32

// play runs a script of steps on a fresh model.
func (r *rig) play(v variant, script [][]share) logitBits {
	r.Helper()
	return newModel(r, v).play(script)
}

func (m *model) play(script [][]share) logitBits {
	m.Helper()
	out := logitBits{}
	for _, step := range script {
		b, places := m.step(step)
		logits := m.forward(b)
		for i, at := range places {
			out[at] = bits(logits[i*vocab : (i+1)*vocab])
			if logits[i*vocab]-logits[i*vocab] != 0 {
				m.Fatalf("%s: logits of %+v are not finite", m.name, at)
			}
		}
	}
	return out
}

// step makes the batch of one step and says which place each row is.
func (m *model) step(shares []share) (*backend.Batch, []place) {
	b := &backend.Batch{}
	var places []place
	for _, decode := range []bool{true, false} {
		for _, s := range shares {
			if s.decode != decode {
				continue
			}
			for len(m.pages[s.seq])*m.pageSize < s.to {
				m.pages[s.seq] = append(m.pages[s.seq], m.free[0])
				m.free = m.free[1:]
			}
			b.Seqs = append(b.Seqs, backend.Seq{First: b.Rows(), Rows: s.to - s.from, Pages: m.pages[s.seq]})
			for p := s.from; p < s.to; p++ {
				places = append(places, place{s.seq, p})
				b.Logits = append(b.Logits, int32(b.Rows()))
				b.Tokens = append(b.Tokens, int32((s.seq*31+p*17+p*p)%vocab))
				b.Positions = append(b.Positions, int32(p))
			}
		}
		if decode {
			b.Decode = b.Rows()
		}
	}
	return b, places
}

// mustEqual compares with want at every place both computed.
func (got logitBits) mustEqual(t testing.TB, name string, want logitBits) {
	t.Helper()
	n := 0
	for at, w := range want {
		g, ok := got[at]
		if !ok {
			continue
		}
		if n++; !slices.Equal(g, w) {
			t.Errorf("%s: the logits of %+v have other bits", name, at)
			return
		}
	}
	if n == 0 {
		t.Errorf("%s: nothing to compare", name)
	}
}
