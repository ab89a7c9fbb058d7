package backendtest

import (
	"bytes"
	"fmt"
	"math"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// rounding is the relative error of one rounding to a cache format.
var rounding = map[tensor.DType]float64{tensor.F32: 0, tensor.F16: 1.0 / (1 << 11), tensor.BF16: 1.0 / (1 << 8)}

// rotation is a rope table with its values.
type rotation struct {
	backend.Rope
	cos, sin []float32
}

func (r *rig) rotation(positions, dim int, interleaved bool) rotation {
	t := rotation{Rope: backend.Rope{Interleaved: interleaved}}
	for p := range positions {
		for i := range dim / 2 {
			angle := float64(p) * math.Pow(10000, -2*float64(i)/float64(dim))
			t.cos = append(t.cos, float32(math.Cos(angle)))
			t.sin = append(t.sin, float32(math.Sin(angle)))
		}
	}
	t.Cos, t.Sin = r.input(positions, dim/2, t.cos), r.input(positions, dim/2, t.sin)
	return t
}

// want rotates one head in float64.
func (t rotation) want(x []float32, position int) []expected {
	half := t.Cos.Cols
	out := make([]expected, len(x))
	for i := 2 * half; i < len(x); i++ {
		out[i] = expected{value: float64(x[i])}
	}
	for i := range half {
		a, b := i, i+half
		if t.Interleaved {
			a, b = 2*i, 2*i+1
		}
		c, s := float64(t.cos[position*half+i]), float64(t.sin[position*half+i])
		p, q := float64(x[a]), float64(x[b])
		out[a] = expected{p*c - q*s, ropeBudget * ulp * (math.Abs(p*c) + math.Abs(q*s))}
		out[b] = expected{p*s + q*c, ropeBudget * ulp * (math.Abs(p*s) + math.Abs(q*c))}
	}
	return out
}

var ropeShapes = []backend.Heads{
	{Q: 1, KV: 1, Dim: 16}, {Q: 4, KV: 2, Dim: 24}, {Q: 8, KV: 2, Dim: 32}, {Q: 7, KV: 1, Dim: 64},
	{Q: 2, KV: 2, Dim: 80}, {Q: 8, KV: 1, Dim: 128}, {Q: 3, KV: 3, Dim: 2},
}

// ropeStore runs a mixed batch over both pairings, every cache format and page
// size.
func ropeStore(r *rig) {
	spans := []span{{0, 9, false}, {77, 78, true}, {15, 18, true}, {0, 1, false}, {64, 95, false}, {0, 1, true}}
	for i, h := range ropeShapes {
		for j, t := range backend.CacheFormats {
			for _, interleaved := range []bool{false, true} {
				if h.Dim%t.Block() != 0 {
					continue
				}
				pageSize := []int{8, 16, 64}[(i+j)%3]
				r.checkRopeStore(t, h, h.Dim, interleaved, spans, pageSize)
				if turned := h.Dim * 3 / 8 * 2; turned > 0 { // the rest of each head is left alone
					r.checkRopeStore(t, h, turned, interleaved, spans, pageSize)
				}
			}
		}
	}
}

func (r *rig) checkRopeStore(t tensor.DType, h backend.Heads, turned int, interleaved bool, spans []span, pageSize int) {
	r.Helper()
	pages := pagesFor(spans, pageSize)
	name := fmt.Sprintf("RopeStore %v %+v, %d turned, interleaved %v, pages of %d", t, h, turned, interleaved, pageSize)
	b, table := r.batch(spans, pageSize, pages), r.rotation(100, turned, interleaved)
	cols := (h.Q + 2*h.KV) * h.Dim
	x := r.values(b.Rows() * cols)
	elements := pages * h.KV * pageSize * h.Dim
	kv := r.store(t, h, pageSize, r.values(elements), r.values(elements))
	qkv := r.output(b.Rows(), cols, x)
	r.d.RopeStore(qkv.Tensor, kv.KV, table.Rope, h, b)
	got := r.result(name, qkv)

	var wantQ, wantK []expected
	var gotQ []float32
	oldK, oldV := kv.k, kv.v
	newK, newV := r.read(kv.K), r.read(kv.V)
	var gotK, gotV, wantV []float32
	for _, seq := range b.Seqs {
		for i := seq.First; i < seq.First+seq.Rows; i++ {
			row, p := x[i*cols:(i+1)*cols], int(b.Positions[i])
			for head := range h.Q {
				wantQ = append(wantQ, table.want(row[head*h.Dim:(head+1)*h.Dim], p)...)
			}
			gotQ = append(gotQ, got[i*cols:i*cols+h.Q*h.Dim]...)
			for head := range h.KV {
				at := kv.at(seq.Pages, head, p)
				k, v := row[(h.Q+head)*h.Dim:], row[(h.Q+h.KV+head)*h.Dim:]
				wantK = append(wantK, rounded(table.want(k[:h.Dim], p), t)...)
				wantV = append(wantV, encoded(t, v[:h.Dim])...)
				gotK, gotV = append(gotK, newK[at:at+h.Dim]...), append(gotV, newV[at:at+h.Dim]...)
				copy(newK[at:], oldK[at:at+h.Dim])
				copy(newV[at:], oldV[at:at+h.Dim])
			}
		}
	}
	r.within(name+": q", gotQ, wantQ)
	r.within(name+": k", gotK, wantK)
	r.same(name+": v", gotV, wantV)
	if !bytes.Equal(bytesOf(newK), bytesOf(oldK)) || !bytes.Equal(bytesOf(newV), bytesOf(oldV)) {
		r.Errorf("%s: wrote to slots of no row", name)
	}
}

// rounded adds the error of a rounding to t.
func rounded(want []expected, t tensor.DType) []expected {
	if t == tensor.Q8_0 {
		for i := 0; i < len(want); i += t.Block() {
			roundedBlock(want[i:][:t.Block()])
		}
		return want
	}
	for i := range want {
		want[i].bound += (math.Abs(want[i].value)+want[i].bound)*rounding[t] + 1.0/(1<<25)*min(1, rounding[t]*1e9)
	}
	return want
}

// roundedBlock adds half a level of the largest magnitude's 127th, and what the
// rounding of that level to f16 moves an element.
func roundedBlock(want []expected) {
	peak := 0.0
	for _, w := range want {
		peak = max(peak, math.Abs(w.value)+w.bound)
	}
	for i, w := range want {
		want[i].bound += peak/254*1.0001 + (math.Abs(w.value)+peak/127)/(1<<11)
	}
}

// encoded is v after a rounding to t.
func encoded(t tensor.DType, v []float32) []float32 {
	host, out := make([]byte, t.RowBytes(len(v))), make([]float32, len(v))
	t.Encode(host, v)
	t.Decode(out, host)
	return out
}
