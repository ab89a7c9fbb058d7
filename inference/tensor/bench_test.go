package tensor

import (
	"math/rand/v2"
	"testing"
)

func benchRow(n int) []float32 {
	r := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * 0.02)
	}
	return x
}

// BenchmarkEncode and BenchmarkDecode count the bytes on the float32 side.
func BenchmarkEncode(b *testing.B) {
	x := benchRow(1 << 14)
	for d := F32; d.Known(); d++ {
		b.Run(d.String(), func(b *testing.B) {
			row := make([]byte, d.RowBytes(len(x)))
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				d.Encode(row, x)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	x := benchRow(1 << 14)
	for d := F32; d.Known(); d++ {
		b.Run(d.String(), func(b *testing.B) {
			row := make([]byte, d.RowBytes(len(x)))
			d.Encode(row, x)
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				d.Decode(x, row)
			}
		})
	}
}
