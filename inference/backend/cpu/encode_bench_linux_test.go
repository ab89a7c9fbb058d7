//go:build cgo

package cpu

import (
	"math/rand/v2"
	"testing"

	"llorch/inference/tensor"
)

// BenchmarkEncode prints how many million elements a second of one core's time
// package tensor ("go") and the instruction sets encode, in turns.
func BenchmarkEncode(b *testing.B) {
	r, x := rand.New(rand.NewPCG(9, 4)), make([]float32, 1<<14)
	for i := range x {
		x[i] = float32(r.NormFloat64() * 0.02)
	}
	for _, f := range []tensor.DType{tensor.Q4_K, tensor.Q5_K, tensor.Q6_K} {
		b.Run(f.String(), func(b *testing.B) {
			dst, names := make([]byte, f.RowBytes(len(x))), []string{"go"}
			rate := func(encode func()) func() float64 {
				return func() float64 {
					start := cpuSeconds()
					encode()
					return float64(len(x)) / (cpuSeconds() - start) * 1e-6
				}
			}
			contestants := []func() float64{rate(func() { f.Encode(dst, x) })}
			for _, isa := range []string{"avx2", "avx512"} {
				if kern := findISA(isa); kern != nil {
					names = append(names, isa)
					contestants = append(contestants, rate(func() { encode(kern, f, dst, x) }))
				}
			}
			var medians []float64
			for b.Loop() {
				medians = race(15, contestants...)
			}
			for i, m := range medians {
				b.ReportMetric(m, names[i]+"-M/s")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
