//go:build cgo

package cpu_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llorch/inference/tensor"
)

// TestTileWeights: what the matrix unit multiplies is each weight rounded to bf16, to
// nearest even, in its place. Activations that are 1 at one k and 0 elsewhere bring the
// weights out as they lie in the tiles.
func TestTileWeights(t *testing.T) {
	const out = 35
	for _, isa := range []string{"amx", "amx-emulated"} {
		if !slices.Contains(everyISA(), isa) {
			continue
		}
		d := device(t, isa, 1)
		for _, f := range everyFormat {
			if f == tensor.F32 { // is not rounded
				continue
			}
			k := 512 + 3*f.Block() // in two blocks of k, and the second one odd
			l, w := placed(t, d, rand.New(rand.NewPCG(31, uint64(f))), f, out, k)
			x := make([]float32, k*k)
			for i := range k {
				x[i*k+i] = 1
			}
			for at, got := range run(t, d, l, x, phased(k, 0)) {
				// Where a format adds an offset, the last bit of the float32 may be another one.
				v := w[at%out*k+at/out]
				low, high := roundBF16(math.Nextafter32(v, -math.MaxFloat32)), roundBF16(math.Nextafter32(v, math.MaxFloat32))
				if got != roundBF16(v) && got != low && got != high {
					t.Fatalf("%s %v: weight %d of row %d is %v, want %v", isa, f, at/out, at%out, got, roundBF16(v))
				}
			}
		}
	}
}

// roundBF16 is the bf16 nearest to a finite x, to even, denormals to zero.
func roundBF16(x float32) float32 {
	if math.Abs(float64(x)) < 0x1p-126 {
		return 0
	}
	b := math.Float32bits(x)
	return math.Float32frombits((b + 0x7fff + b>>16&1) &^ 0xffff)
}
