//go:build cgo

package cpu

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// The shapes of a Llama of 1.1 billion parameters, with fewer layers: they are
// alike, and together they are beyond every cache.
const (
	hidden, ffn, vocab = 2048, 5632, 32000
	layers             = 10
)

var heads = backend.Heads{Q: 32, KV: 4, Dim: 64, Scale: 0.125}

type benchLayer struct {
	qkv, o, gateUp, down backend.Linear
	kv                   backend.KV
}

// benchModel is a decoder on random weights.
type benchModel struct {
	testing.TB
	d                                         *Device
	norm, table                               backend.Tensor
	layers                                    []benchLayer
	head                                      backend.Linear
	rope                                      backend.Rope
	x, h, wide, gate, half, att, last, logits backend.Tensor
	bytes, flops                              float64 // of all projections, for one row
}

func newBenchModel(b *testing.B, t tensor.DType, layers, rows, pages int) *benchModel {
	dev, err := open(backend.Options{Threads: 0})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dev.Close() })
	m := &benchModel{TB: b, d: dev.(*Device)}
	v := make([]float32, 1<<16)
	noise := make([]byte, t.RowBytes(len(v)))
	r := rand.NewChaCha8([32]byte{})
	for i := range v {
		v[i] = float32(r.Uint64()>>40)/(1<<24)*0.1 - 0.05
	}
	t.Encode(noise, v)
	weight := func(rows, cols int) backend.Linear {
		w := m.alloc(backend.Weights, t, rows, cols)
		for host := w.Host(); len(host) > 0; {
			host = host[copy(host, noise):]
		}
		m.bytes += float64(w.Bytes())
		m.flops += 2 * float64(rows) * float64(cols)
		return backend.Linear{{W: w}}
	}
	stack := func(parts ...backend.Linear) backend.Linear { return slices.Concat(parts...) }
	for range layers {
		l := benchLayer{qkv: stack(weight(heads.Q*heads.Dim, hidden), weight(heads.KV*heads.Dim, hidden), weight(heads.KV*heads.Dim, hidden)),
			o: weight(hidden, heads.Q*heads.Dim), gateUp: stack(weight(ffn, hidden), weight(ffn, hidden)), down: weight(hidden, ffn)}
		l.kv = backend.KV{K: m.alloc(backend.Cache, tensor.F16, pages*heads.KV*64, heads.Dim), V: m.alloc(backend.Cache, tensor.F16, pages*heads.KV*64, heads.Dim), PageSize: 64}
		m.layers = append(m.layers, l)
	}
	m.head = weight(vocab, hidden)
	m.table = m.head[0].W
	f := func(rows, cols int) backend.Tensor { return m.alloc(backend.Scratch, tensor.F32, rows, cols) }
	m.norm, m.x, m.h, m.att = f(1, hidden), f(rows, hidden), f(rows, hidden), f(rows, heads.Q*heads.Dim)
	m.half = f(rows, ffn)
	m.wide, m.gate, m.last, m.logits = f(rows, (heads.Q+2*heads.KV)*heads.Dim), f(rows, 2*ffn), f(16, hidden), f(16, vocab)
	m.rope = backend.Rope{Cos: f(64*pages, heads.Dim/2), Sin: f(64*pages, heads.Dim/2)}
	for i := range m.norm.Float32s() {
		m.norm.Float32s()[i] = 1
	}
	return m
}

func (m *benchModel) alloc(use backend.Use, t tensor.DType, rows, cols int) backend.Tensor {
	w, err := m.d.Alloc(use, t, rows, cols)
	if err != nil {
		m.Fatal(err)
	}
	return w
}

// step runs a batch through the decoder.
func (m *benchModel) step(b *backend.Batch) {
	d, n := m.d, b.Rows()
	x, h, wide, att := m.x.Slice(0, n), m.h.Slice(0, n), m.wide.Slice(0, n), m.att.Slice(0, n)
	gate := m.gate.Slice(0, n)
	half := m.half.Slice(0, n)
	d.Embed(x, m.table, b)
	for _, l := range m.layers {
		d.RMSNorm(h, x, m.norm, 1e-5)
		d.Linear(wide, h, l.qkv, b)
		d.RopeStore(wide, l.kv, m.rope, heads, b)
		d.Attend(att, wide, l.kv, heads, b)
		d.LinearAdd(x, att, l.o, b)
		d.RMSNorm(h, x, m.norm, 1e-5)
		d.Linear(gate, h, l.gateUp, b)
		d.SwiGLU(half, gate)
		d.LinearAdd(x, half, l.down, b)
	}
	last, logits := m.last.Slice(0, len(b.Logits)), m.logits.Slice(0, len(b.Logits))
	d.Rows(last, x, b)
	d.RMSNorm(last, last, m.norm, 1e-5)
	d.Linear(logits, last, m.head, nil)
	if err := d.Sync(); err != nil {
		m.Fatal(err)
	}
}

// decodeBatch is rows sequences that have seen past positions; prefillBatch one
// prompt.
func decodeBatch(rows, past int) *backend.Batch {
	b := &backend.Batch{Decode: rows}
	for i := range rows {
		seq := backend.Seq{First: i, Rows: 1}
		for p := range past/64 + 1 {
			seq.Pages = append(seq.Pages, int32(i*(past/64+1)+p))
		}
		b.Tokens, b.Positions = append(b.Tokens, int32(i*7+1)), append(b.Positions, int32(past))
		b.Seqs, b.Logits = append(b.Seqs, seq), append(b.Logits, int32(i))
	}
	return b
}

func prefillBatch(rows int) *backend.Batch {
	b := &backend.Batch{Seqs: []backend.Seq{{Rows: rows}}, Logits: []int32{int32(rows - 1)}}
	for i := range rows {
		b.Tokens, b.Positions = append(b.Tokens, int32(i*31%vocab)), append(b.Positions, int32(i))
		if i%64 == 0 {
			b.Seqs[0].Pages = append(b.Seqs[0].Pages, int32(i/64))
		}
	}
	return b
}

// race runs each of the contestants in turn, so that what the machine does
// meanwhile hits all alike, and returns the median of each.
func race(rounds int, contestants ...func() float64) []float64 {
	got := make([][]float64, len(contestants))
	for round := range rounds + 1 {
		for i, f := range contestants {
			if v := f(); round > 0 { // the first pass warms up
				got[i] = append(got[i], v)
			}
		}
	}
	medians := make([]float64, len(got))
	for i, v := range got {
		slices.Sort(v)
		medians[i] = v[len(v)/2]
	}
	return medians
}

func newBenchMeter(b *testing.B) *meter {
	buf, err := mapBlock(backend.Scratch, limitBytes)
	if err != nil {
		b.Fatal(err)
	}
	m, err := newMeter(buf, defaultThreads(), "")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.close(); buf.unmap() })
	return m
}

// seconds times a step.
func (m *benchModel) seconds(batch *backend.Batch) func() float64 {
	return func() float64 {
		start := time.Now()
		m.step(batch)
		return time.Since(start).Seconds()
	}
}

// BenchmarkStep runs whole steps against the limits of the same minute: read/…
// is the share of the read bandwidth, fma/… of the float32 FMA peak.
func BenchmarkStep(b *testing.B) {
	meter := newBenchMeter(b)
	for _, t := range []tensor.DType{tensor.BF16, tensor.F16, tensor.Q8_0, tensor.Q4_0, tensor.Q4_K, tensor.Q6_K} {
		b.Run(t.String()+"/decode", func(b *testing.B) {
			m := newBenchModel(b, t, layers, 16, 64)
			for b.Loop() {
				r := race(7, meter.read, m.seconds(decodeBatch(1, 16)), m.seconds(decodeBatch(2, 16)), m.seconds(decodeBatch(4, 16)), m.seconds(decodeBatch(8, 16)), m.seconds(decodeBatch(16, 16)))
				b.ReportMetric(m.bytes/r[1]/1e9/r[0], "read/decode1")
				b.ReportMetric(r[0], "read-GB/s")
				for i, n := range []string{"2", "4", "8", "16"} {
					b.ReportMetric(r[2+i]/r[1], "time"+n+"/time1")
				}
			}
		})
		b.Run(t.String()+"/prefill", func(b *testing.B) {
			m := newBenchModel(b, t, layers, 512, 64)
			for b.Loop() {
				p := race(3, meter.fma, m.seconds(prefillBatch(512)), m.seconds(prefillBatch(128)))
				flops := m.flops - 2*hidden*vocab
				b.ReportMetric(p[0], "fma-GFLOP/s")
				b.ReportMetric(512*flops/p[1]/1e9/p[0], "fma/prefill512")
				b.ReportMetric(128*flops/p[2]/1e9/p[0], "fma/prefill128")
			}
		})
	}
}
