//go:build cgo && linux

package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// BenchmarkAttendPrefill attends from whole prompts, to a cache in f16, with every
// instruction set of this host that has 16 lanes: 10⁹ operations a second of the
// products below the diagonal. In turns with them it takes what so many threads reach
// on registers, in float32 and on the matrix unit, which a busy host holds back for
// seconds. Each figure is the best of 15 passes.
func BenchmarkAttendPrefill(b *testing.B) {
	for _, threads := range []int{1, defaultThreads()} {
		for _, c := range []struct{ kv, group, dim, rows int }{
			{4, 8, 64, 512}, {4, 8, 64, 2048}, {8, 4, 128, 512}, {8, 4, 128, 2048}, {32, 1, 128, 512},
		} {
			b.Run(fmt.Sprintf("threads%d/kv%d/group%d/dim%d/rows%d", threads, c.kv, c.group, c.dim, c.rows), func(b *testing.B) {
				h := backend.Heads{Q: c.kv * c.group, KV: c.kv, Dim: c.dim, Scale: float32(1 / math.Sqrt(float64(c.dim)))}
				rates := attendLimits(b, threads)
				for _, isa := range []string{"avx512", "amx"} {
					if findISA(isa) != nil {
						rates[isa+"-GFLOP/s"] = attendRate(b, isa, threads, h, c.rows)
					}
				}
				best := map[string]float64{}
				for b.Loop() {
					for range 15 {
						for name, rate := range rates {
							best[name] = max(best[name], rate())
						}
					}
				}
				b.ReportMetric(0, "ns/op")
				for name, v := range best {
					b.ReportMetric(v, name)
				}
			})
		}
	}
}

// attendRate attends once from a prompt of so many rows.
func attendRate(b *testing.B, isa string, threads int, h backend.Heads, rows int) func() float64 {
	dev, err := open(backend.Options{ISA: isa, Threads: threads})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dev.Close() })
	p := &prober{d: dev.(*Device), rnd: rand.New(rand.NewPCG(3, 1))}
	batch := prefillBatch(rows)
	slots := len(batch.Seqs[0].Pages) * h.KV * 64
	kv := backend.KV{K: p.values(tensor.F16, slots, h.Dim), V: p.values(tensor.F16, slots, h.Dim), PageSize: 64}
	qkv, dst := p.values(tensor.F32, rows, (h.Q+2*h.KV)*h.Dim), p.values(tensor.F32, rows, h.Q*h.Dim)
	if p.err != nil {
		b.Fatal(p.err)
	}
	flops := 4 * float64(h.Q*h.Dim) * float64(rows) * float64(rows+1) / 2
	return func() float64 {
		start := time.Now()
		p.d.Attend(dst, qkv, kv, h, batch)
		if err := p.d.Sync(); err != nil {
			b.Fatal(err)
		}
		return flops / time.Since(start).Seconds() * 1e-9
	}
}

// attendLimits are the rates that so many threads reach on registers.
func attendLimits(b *testing.B, threads int) map[string]func() float64 {
	m, err := newMeter(block{}, threads, "")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(m.close)
	rates := map[string]func() float64{"fma-GFLOP/s": m.fma}
	if m.kern.tiles != nil {
		rates["tiles-GFLOP/s"] = func() float64 { return m.peak(m.kern.tiles) }
	}
	return rates
}
