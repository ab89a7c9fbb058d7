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
// vector instruction set of this host that has 16 lanes, in turns: 10⁹ operations a
// second of the products below the diagonal, the best of 15 passes of each.
func BenchmarkAttendPrefill(b *testing.B) {
	for _, threads := range []int{1, defaultThreads()} {
		for _, c := range []struct{ kv, group, dim, rows int }{
			{4, 8, 64, 512}, {4, 8, 64, 2048}, {8, 4, 128, 512}, {8, 4, 128, 2048}, {32, 1, 128, 512},
		} {
			b.Run(fmt.Sprintf("threads%d/kv%d/group%d/dim%d/rows%d", threads, c.kv, c.group, c.dim, c.rows), func(b *testing.B) {
				h := backend.Heads{Q: c.kv * c.group, KV: c.kv, Dim: c.dim, Scale: float32(1 / math.Sqrt(float64(c.dim)))}
				flops := 4 * float64(h.Q*h.Dim) * float64(c.rows) * float64(c.rows+1) / 2
				var names []string
				var passes []func()
				for _, isa := range []string{"avx512", "amx"} {
					if findISA(isa) != nil {
						names, passes = append(names, isa), append(passes, attendPass(b, isa, threads, h, c.rows))
					}
				}
				for b.Loop() {
					best := fastest(15, passes)
					b.ReportMetric(0, "ns/op")
					for i, isa := range names {
						b.ReportMetric(flops/best[i]/1e9, isa+"-GFLOP/s")
					}
				}
			})
		}
	}
}

// attendPass attends once from a prompt of so many rows.
func attendPass(b *testing.B, isa string, threads int, h backend.Heads, rows int) func() {
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
	return func() {
		p.d.Attend(dst, qkv, kv, h, batch)
		if err := p.d.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// fastest runs the contestants in turn and returns the best seconds of each.
func fastest(rounds int, contestants []func()) []float64 {
	best := make([]float64, len(contestants))
	for i := range best {
		best[i] = math.Inf(1)
	}
	for range rounds {
		for i, f := range contestants {
			start := time.Now()
			f()
			best[i] = min(best[i], time.Since(start).Seconds())
		}
	}
	return best
}
