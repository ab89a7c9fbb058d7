package cpu

// #include "llo.h"
import "C"

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// testAttends attends to a cache of every format in both phases, and compares with
// float64: within 1 %, as a root mean square, where the kernel rounds what it
// multiplies, else within 1e-5. Contexts cross a page and a tile of keys.
func testAttends(kern *C.llo_kernels) error {
	d, err := newDevice(kern, 1)
	if err != nil {
		return err
	}
	defer d.Close()
	const past, rows, pages, size = 67, 3, 6, 32
	h := backend.Heads{Q: 4, KV: 2, Dim: 32, Window: 60, Scale: 0.18}
	p := &prober{d: d, rnd: rand.New(rand.NewPCG(5, 6))}
	b := &backend.Batch{Tokens: make([]int32, 2*rows), Decode: rows, Positions: []int32{past, past + 1, past + 2, past, past + 1, past + 2},
		Seqs: []backend.Seq{{First: 0, Rows: rows, Pages: []int32{5, 0, 3}}, {First: rows, Rows: rows, Pages: []int32{5, 4, 1}}}}
	qkv, dst := p.values(tensor.F32, 2*rows, (h.Q+2*h.KV)*h.Dim), p.values(tensor.F32, 2*rows, h.Q*h.Dim)
	for _, t := range backend.CacheFormats {
		kv := backend.KV{K: p.values(t, pages*h.KV*size, h.Dim), V: p.values(t, pages*h.KV*size, h.Dim), PageSize: size}
		d.Attend(dst, qkv, kv, h, b)
		if err := cmp.Or(p.err, d.Sync()); err != nil {
			return err
		}
		for phase, seq := range b.Seqs {
			most := 1e-5
			if d.AttendRounds(t, phase == 1) != tensor.F32 {
				most = 0.01
			}
			if loss := attendLoss(dst, qkv, kv, h, b, seq); !(loss <= most) {
				return fmt.Errorf("cpu: self-test of %s: attention to a cache in %v is off by %.2g in phase %d: choose another instruction set",
					C.GoString(kern.name), t, loss, phase)
			}
		}
	}
	return nil
}

// attendLoss is the distance of what a sequence got from the softmax in float64,
// relative to its size.
func attendLoss(dst, qkv backend.Tensor, kv backend.KV, h backend.Heads, b *backend.Batch, seq backend.Seq) float64 {
	keys, values := make([]float32, kv.K.Rows*h.Dim), make([]float32, kv.K.Rows*h.Dim)
	kv.K.Type.Decode(keys, kv.K.Host())
	kv.V.Type.Decode(values, kv.V.Host())
	miss, size := 0.0, 0.0
	for i := seq.First; i < seq.First+seq.Rows; i++ {
		for head := range h.Q {
			q, got := qkv.Float32s()[i*qkv.Cols+head*h.Dim:][:h.Dim], dst.Float32s()[i*dst.Cols+head*h.Dim:][:h.Dim]
			total, want := 0.0, make([]float64, h.Dim)
			for pos := max(0, int(b.Positions[i])-h.Window+1); pos <= int(b.Positions[i]); pos++ {
				at := ((int(seq.Pages[pos/kv.PageSize])*h.KV+head/(h.Q/h.KV))*kv.PageSize + pos%kv.PageSize) * h.Dim
				score := 0.0
				for j, x := range q {
					score += float64(x) * float64(keys[at+j])
				}
				weight := math.Exp(score * float64(h.Scale))
				total += weight
				for j := range want {
					want[j] += weight * float64(values[at+j])
				}
			}
			for j, x := range got {
				y := want[j] / total
				miss, size = miss+(float64(x)-y)*(float64(x)-y), size+y*y
			}
		}
	}
	return math.Sqrt(miss / size)
}
