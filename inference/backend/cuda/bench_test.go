//go:build cuda

package cuda

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/sample"
	"llorch/inference/tensor"
)

// shape is that of a published model, with random weights.
type shape struct {
	name                       string
	layers, hidden, ffn, vocab int
	heads                      backend.Heads
}

// shapeFormats are the formats of weights by the shape's name, for those that are not all
// bf16. more: of a layer whose v and down have more bits where a recipe mixes formats.
var shapeFormats = map[string]func(name string, more bool) tensor.DType{"llama3-8b-q8_0": allQ8_0, "llama3-8b-q4_k_m": q4KM}

func allQ8_0(string, bool) tensor.DType { return tensor.Q8_0 }

// q4KM is the mix of files called Q4_K_M: half of the layers' v and down, and the head, have 6 bits.
func q4KM(name string, more bool) tensor.DType {
	if name == "head" || more && (name == "v" || name == "down") {
		return tensor.Q6_K
	}
	return tensor.Q4_K
}

// moreBits: which layers of n those are.
func moreBits(i, n int) bool { return i < n/8 || i >= 7*n/8 || (i-n/8)%3 == 2 }

var shapes = []shape{
	{"tinyllama-1.1b", 22, 2048, 5632, 32000, backend.Heads{Q: 32, KV: 4, Dim: 64}},
	{"llama2-7b", 32, 4096, 11008, 32000, backend.Heads{Q: 32, KV: 32, Dim: 128}},
	{"llama3-8b", 32, 4096, 14336, 128256, backend.Heads{Q: 32, KV: 8, Dim: 128}},
	{"llama3-8b-q8_0", 32, 4096, 14336, 128256, backend.Heads{Q: 32, KV: 8, Dim: 128}},
	{"llama3-8b-q4_k_m", 32, 4096, 14336, 128256, backend.Heads{Q: 32, KV: 8, Dim: 128}},
}

// benchModel is the forward pass of a llama by hand: no files, no engine.
type benchModel struct {
	shape
	d                                         *Device
	embed, norm                               backend.Tensor
	layer                                     []benchLayer
	head                                      backend.Linear
	rope                                      backend.Rope
	x, h, qkv, att, gateUp, act, last, logits backend.Tensor
	bytes, products                           int64 // of weights that a step reads, and their number but the head's
	noise                                     map[tensor.DType][]byte
}

type benchLayer struct {
	qkv, o, gateUp, down backend.Linear
	kv                   backend.KV
}

const benchPage, benchRows = 16, 2048

func newBenchModel(b testing.TB, d *Device, s shape, pages int) *benchModel {
	m := &benchModel{shape: s, d: d}
	m.heads.Scale = float32(1 / math.Sqrt(float64(s.heads.Dim)))
	m.noise = map[tensor.DType][]byte{}
	wide := (s.heads.Q + 2*s.heads.KV) * s.heads.Dim
	m.embed, m.norm = m.weight(b, m.formatOf("embed", 0), s.vocab, s.hidden), m.weight(b, tensor.BF16, 1, s.hidden)
	for i := range s.layers {
		q, k := s.heads.Q*s.heads.Dim, s.heads.KV*s.heads.Dim
		l := benchLayer{
			qkv: m.linear(b, i, s.hidden, "q", q, "k", k, "v", k), o: m.linear(b, i, q, "o", s.hidden),
			gateUp: m.linear(b, i, s.hidden, "gate", s.ffn, "up", s.ffn), down: m.linear(b, i, s.ffn, "down", s.hidden),
		}
		rows := pages * s.heads.KV * benchPage
		l.kv = backend.KV{K: m.alloc(b, backend.Cache, tensor.F16, rows, s.heads.Dim), V: m.alloc(b, backend.Cache, tensor.F16, rows, s.heads.Dim), PageSize: benchPage}
		m.layer = append(m.layer, l)
	}
	all := m.products
	m.head = m.linear(b, 0, s.hidden, "head", s.vocab)
	m.products = all
	f := func(cols int) backend.Tensor { return m.alloc(b, backend.Scratch, tensor.F32, benchRows, cols) }
	m.x, m.h, m.last, m.qkv, m.att = f(s.hidden), f(s.hidden), f(s.hidden), f(wide), f(s.heads.Q*s.heads.Dim)
	m.gateUp, m.act, m.logits = f(2*s.ffn), f(s.ffn), m.alloc(b, backend.Scratch, tensor.F32, 64, s.vocab)
	cos := m.alloc(b, backend.Weights, tensor.F32, pages*benchPage, s.heads.Dim/2)
	m.rope = backend.Rope{Cos: cos, Sin: cos}
	return m
}

func (m *benchModel) alloc(b testing.TB, use backend.Use, t tensor.DType, rows, cols int) backend.Tensor {
	out, err := m.d.Alloc(use, t, rows, cols)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func (m *benchModel) formatOf(name string, layer int) tensor.DType {
	format := shapeFormats[m.name]
	if format == nil {
		return tensor.BF16
	}
	return format(name, moreBits(layer, m.layers))
}

// noiseOf is a piece of a weight of a format: normal numbers of 0.01 or so.
func (m *benchModel) noiseOf(t tensor.DType) []byte {
	if m.noise[t] == nil {
		r := rand.New(rand.NewPCG(1, 1))
		v := make([]float32, 1<<19+37*256) // no row of a matrix is like another near it
		for i := range v {
			v[i] = float32(0.01 * r.NormFloat64())
		}
		m.noise[t] = make([]byte, t.RowBytes(len(v)))
		t.Encode(m.noise[t], v)
	}
	return m.noise[t]
}

func (m *benchModel) weight(b testing.TB, format tensor.DType, rows, cols int) backend.Tensor {
	t := m.alloc(b, backend.Weights, format, rows, cols)
	noise := m.noiseOf(format)
	first := min(t.Bytes(), len(noise))
	m.d.Upload(backend.Tensor{Type: format, Rows: 1, Cols: first / format.BlockBytes() * format.Block(), Data: t.Data}, noise[:first])
	for at := first; at < t.Bytes(); at += first {
		n := min(first, t.Bytes()-at)
		m.d.check(m.d.drv.CopyDtoDAsync(address(t)+driver.Ptr(at), address(t), int64(n), m.d.stream))
	}
	return t
}

// linear has parts of a layer by name and number of rows.
func (m *benchModel) linear(b testing.TB, layer, in int, outs ...any) (l backend.Linear) {
	for i := 0; i < len(outs); i += 2 {
		w := m.weight(b, m.formatOf(outs[i].(string), layer), outs[i+1].(int), in)
		l = append(l, backend.Part{W: w})
		m.bytes, m.products = m.bytes+int64(w.Bytes()), m.products+int64(w.Rows)*int64(in)
	}
	return l
}

// turn fills the table of rotations, whose cosines and sines are the same numbers.
func (m *benchModel) turn() {
	angles := make([]float32, m.rope.Cos.Rows*m.rope.Cos.Cols)
	for i := range angles {
		angles[i] = float32(math.Cos(float64(i)))
	}
	m.d.Upload(m.rope.Cos, driver.Bytes(angles))
}

func (m *benchModel) forward(b *backend.Batch) {
	d, n := m.d, b.Rows()
	v := func(t backend.Tensor) backend.Tensor { return t.Slice(0, n) }
	x, h, qkv, att, gateUp, act := v(m.x), v(m.h), v(m.qkv), v(m.att), v(m.gateUp), v(m.act)
	d.Embed(x, m.embed, b)
	for i := range m.layer {
		l := &m.layer[i]
		d.RMSNorm(h, x, m.norm, 1e-5)
		d.Linear(qkv, h, l.qkv, b)
		d.RopeStore(qkv, l.kv, m.rope, m.heads, b)
		d.Attend(att, qkv, l.kv, m.heads, b)
		d.LinearAdd(x, att, l.o, b)
		d.RMSNorm(h, x, m.norm, 1e-5)
		d.Linear(gateUp, h, l.gateUp, b)
		d.SwiGLU(act, gateUp)
		d.LinearAdd(x, act, l.down, b)
	}
	last, logits := m.last.Slice(0, len(b.Logits)), m.logits.Slice(0, len(b.Logits))
	d.Rows(last, x, b)
	d.RMSNorm(last, last, m.norm, 1e-5)
	d.Linear(logits, last, m.head, nil)
}

// decodeBatch is a step of n sequences with so many positions each.
func decodeBatch(n, context int) *backend.Batch {
	b := &backend.Batch{Decode: n}
	per := ceilDiv(context, benchPage)
	for i := range n {
		s := backend.Seq{First: i, Rows: 1}
		for p := range per {
			s.Pages = append(s.Pages, int32(i*per+p))
		}
		b.Tokens, b.Positions, b.Logits = append(b.Tokens, int32(7*i+1)), append(b.Positions, int32(context-1)), append(b.Logits, int32(i))
		b.Seqs = append(b.Seqs, s)
	}
	return b
}

func prefillBatch(n int) *backend.Batch {
	b := &backend.Batch{Logits: []int32{int32(n - 1)}}
	s := backend.Seq{Rows: n}
	for p := range ceilDiv(n, benchPage) {
		s.Pages = append(s.Pages, int32(p))
	}
	for i := range n {
		b.Tokens, b.Positions = append(b.Tokens, int32(i)), append(b.Positions, int32(i))
	}
	b.Seqs = []backend.Seq{s}
	return b
}

// step runs one and returns its seconds, of which the host's own.
func (m *benchModel) step(b testing.TB, batch *backend.Batch) (all, host float64) {
	ids, params := make([]int32, len(batch.Logits)), make([]sample.Params, len(batch.Logits))
	began := time.Now()
	m.forward(batch)
	m.d.Sample(ids, m.logits.Slice(0, len(ids)), params)
	m.d.flush()
	host = time.Since(began).Seconds()
	if err := m.d.Sync(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began).Seconds(), host
}

func (m *benchModel) median(b testing.TB, n int, batch *backend.Batch) (all, host float64) {
	var alls, hosts []float64
	for i := range n + 4 {
		a, h := m.step(b, batch)
		if i >= 4 {
			alls, hosts = append(alls, a), append(hosts, h)
		}
	}
	slices.Sort(alls)
	slices.Sort(hosts)
	return alls[n/2], hosts[n/2]
}
