//go:build cgo

package cpu

import (
	"fmt"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// attendRig is a cache beyond every cache of the processor, cut into sequences,
// and a batch of decode rows for each share of it, so that a pass over all
// batches reads all of it.
type attendRig struct {
	testing.TB
	d        *Device
	h        backend.Heads
	kv       backend.KV
	qkv, dst backend.Tensor
	batches  []*backend.Batch
	bytes    float64
}

func newAttendRig(b *testing.B, t tensor.DType, h backend.Heads, rows, past int) *attendRig {
	const side = 128 << 20 // bytes of K, and of V
	dev, err := open(backend.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dev.Close() })
	r := &attendRig{TB: b, d: dev.(*Device), h: h}
	alloc := func(use backend.Use, t tensor.DType, rows, cols int) backend.Tensor {
		m, err := r.d.Alloc(use, t, rows, cols)
		if err != nil {
			b.Fatal(err)
		}
		return m
	}
	pages := side / (h.KV * 64 * t.RowBytes(h.Dim))
	r.kv = backend.KV{K: alloc(backend.Cache, t, pages*h.KV*64, h.Dim), V: alloc(backend.Cache, t, pages*h.KV*64, h.Dim), PageSize: 64}
	r.qkv = alloc(backend.Scratch, tensor.F32, rows, (h.Q+2*h.KV)*h.Dim)
	r.dst = alloc(backend.Scratch, tensor.F32, rows, h.Q*h.Dim)
	for i, x := 0, r.qkv.Float32s(); i < len(x); i++ {
		x[i] = float32(i%7) * 0.1
	}
	each := past/64 + 1
	for first := 0; first+rows*each <= pages && len(r.batches) < 4096; first += rows * each {
		batch := decodeBatch(rows, past)
		for _, s := range batch.Seqs {
			for i := range s.Pages {
				s.Pages[i] += int32(first)
			}
		}
		r.batches = append(r.batches, batch)
	}
	r.bytes = float64(len(r.batches)*rows*(past+1)*h.KV) * 2 * float64(t.RowBytes(h.Dim))
	return r
}

// pass attends with every batch, in steps of 22, as a model of 22 layers does.
func (r *attendRig) pass() {
	for i, b := range r.batches {
		r.d.Attend(r.dst, r.qkv, r.kv, r.h, b)
		if i%22 == 21 || i == len(r.batches)-1 {
			if err := r.d.Sync(); err != nil {
				r.Fatal(err)
			}
		}
	}
}

func (r *attendRig) seconds() float64 {
	start := time.Now()
	r.pass()
	return time.Since(start).Seconds()
}

// BenchmarkAttend reads the cache in decode steps: read/… is the share of the
// read bandwidth of the same minute, by key heads, heads of a group, size of a
// head, rows, positions and format.
func BenchmarkAttend(b *testing.B) {
	meter := newBenchMeter(b)
	for _, c := range []struct {
		kv, group, dim, rows, past int
		t                          tensor.DType
	}{
		{4, 8, 64, 1, 1023, tensor.F16}, {4, 8, 64, 1, 255, tensor.F16}, {4, 8, 64, 1, 2047, tensor.F16}, {4, 8, 64, 8, 1023, tensor.F16},
		{8, 4, 128, 1, 1023, tensor.F16}, {8, 4, 128, 8, 255, tensor.F16}, {32, 1, 128, 1, 1023, tensor.F16}, {32, 1, 128, 1, 15, tensor.F16},
		{4, 7, 128, 1, 1023, tensor.F16}, {2, 7, 64, 1, 1023, tensor.F16},
		{8, 4, 128, 1, 1023, tensor.BF16}, {8, 4, 128, 1, 1023, tensor.F32}, {8, 4, 128, 1, 1023, tensor.Q8_0}, {32, 1, 128, 1, 1023, tensor.Q8_0},
	} {
		h := backend.Heads{Q: c.kv * c.group, KV: c.kv, Dim: c.dim, Scale: 0.1}
		b.Run(fmt.Sprintf("%v/kv%d/group%d/dim%d/rows%d/context%d", c.t, c.kv, c.group, c.dim, c.rows, c.past+1), func(b *testing.B) {
			r := newAttendRig(b, c.t, h, c.rows, c.past)
			for b.Loop() {
				got := race(5, meter.read, r.seconds)
				b.ReportMetric(r.bytes/got[1]/1e9, "GB/s")
				b.ReportMetric(r.bytes/got[1]/1e9/got[0], "read/attend")
			}
		})
	}
}
