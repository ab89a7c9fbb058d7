//go:build cgo

package cpu

import (
	"testing"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// BenchmarkBarrier runs steps of ops that have nothing to do, so that what is
// left is the cost of an op: recording, work counters, barriers.
func BenchmarkBarrier(b *testing.B) {
	const ops = 200
	for _, threads := range []int{1, 2} {
		b.Run([]string{1: "1 thread", 2: "2 threads"}[threads], func(b *testing.B) {
			dev, err := open(backend.Options{Threads: threads})
			if err != nil {
				b.Fatal(err)
			}
			defer dev.Close()
			x, err := dev.Alloc(backend.Scratch, tensor.F32, 1, 16)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for range ops {
					dev.RMSNorm(x, x, x, 1)
				}
				if err := dev.Sync(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/ops, "ns/op-of-a-step")
		})
	}
}
