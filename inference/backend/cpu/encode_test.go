//go:build cgo

package cpu_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cpu"
	"llorch/inference/tensor"
)

var encoded = []tensor.DType{tensor.Q4_K, tensor.Q5_K, tensor.Q6_K}

// encoders are those of the instruction sets that have one.
func encoders(t testing.TB) map[string]tensor.Encoder {
	t.Helper()
	all := map[string]tensor.Encoder{}
	for _, isa := range cpu.ISAs() {
		if e := backend.Encoder(device(t, isa, 1)); e(tensor.Q4_K, make([]byte, 144), make([]float32, 256)) {
			all[isa] = e
		} else if slices.Contains([]string{"avx2", "avxvnni", "avx512f", "avx512"}, isa) {
			t.Errorf("%s has no encoder", isa)
		}
	}
	return all
}

// block fills 256 elements.
type block struct {
	name string
	fill func(r *rand.Rand, x []float32)
}

// each fills element by element.
func each(f func(r *rand.Rand, i int) float64) func(r *rand.Rand, x []float32) {
	return func(r *rand.Rand, x []float32) {
		for i := range x {
			x[i] = float32(f(r, i))
		}
	}
}

var blocks = []block{
	{"normal", each(func(r *rand.Rand, i int) float64 { return r.NormFloat64() * 0.03 })},
	{"uniform", each(func(r *rand.Rand, i int) float64 { return r.Float64() - 0.5 })},
	{"heavy tails", each(func(r *rand.Rand, i int) float64 { return math.Pow(r.NormFloat64(), 5) * 1e-3 })},
	{"positive", each(func(r *rand.Rand, i int) float64 { return 1 + r.Float64() })},
	{"negative", each(func(r *rand.Rand, i int) float64 { return -3 - 1e-3*r.Float64() })},
	{"bf16", each(func(r *rand.Rand, i int) float64 {
		return float64(tensor.BF16ToFloat32(tensor.Float32ToBF16(float32(r.NormFloat64() * 0.02))))
	})},
	{"few values", each(func(r *rand.Rand, i int) float64 { return float64(r.IntN(5)-2) * 0.25 })},
	{"ties", each(func(r *rand.Rand, i int) float64 { return float64(r.IntN(64)-32) / 2 })},
	{"groups of all sizes", each(func(r *rand.Rand, i int) float64 { return r.NormFloat64() * math.Pow(10, -float64(i/16)/2) })},
	{"groups of zeros", each(func(r *rand.Rand, i int) float64 { return r.NormFloat64() * float64(i/16%2) })},
	{"constant groups", each(func(r *rand.Rand, i int) float64 { return float64(i/32-4) * 0.1 })},
	{"one element", each(func(r *rand.Rand, i int) float64 {
		return float64(min(1, max(0, i-200))) * float64(min(1, max(0, 202-i)))
	})},
	{"sparse", each(func(r *rand.Rand, i int) float64 { return r.NormFloat64() * float64(r.IntN(10)/9) })},
	{"zeros", each(func(r *rand.Rand, i int) float64 { return 0 })},
	{"negative zeros", each(func(r *rand.Rand, i int) float64 { return math.Copysign(0, float64(r.IntN(2))-0.5) })},
	{"highest", each(func(r *rand.Rand, i int) float64 { return 32768 * float64(r.IntN(3)-1) })},
	{"beyond", each(func(r *rand.Rand, i int) float64 { return 3e5 * r.NormFloat64() })},
	{"huge", each(func(r *rand.Rand, i int) float64 { return 1e38 * (r.Float64() - 0.5) })},
	{"one beyond", each(func(r *rand.Rand, i int) float64 { return r.NormFloat64() + float64(i/255)*1e30 })},
	{"small", each(func(r *rand.Rand, i int) float64 { return 1e-9 * r.NormFloat64() })},
	{"tiny", each(func(r *rand.Rand, i int) float64 { return 1e-15 * r.NormFloat64() })},
	{"without a square", each(func(r *rand.Rand, i int) float64 { return 1e-24 * r.NormFloat64() })},
	{"without an inverse", each(func(r *rand.Rand, i int) float64 { return 1e-39 * r.NormFloat64() })},
	{"a narrow range", each(func(r *rand.Rand, i int) float64 { return -1e-29 - 1e-32*r.Float64()*float64(i/32) })},
	{"a tiny minimum", each(func(r *rand.Rand, i int) float64 { return r.Float64() - 1e-36*float64(r.IntN(2)) })},
	{"one NaN", each(func(r *rand.Rand, i int) float64 { return r.NormFloat64() + math.Log(float64(77-i)*float64(77-i)-0.5) })},
	{"one infinity", each(func(r *rand.Rand, i int) float64 { return r.NormFloat64() - 1/math.Abs(float64(i-31)) })},
	{"any bits", func(r *rand.Rand, x []float32) {
		for i := range x {
			x[i] = math.Float32frombits(r.Uint32())
		}
	}},
	{"any finite bits", func(r *rand.Rand, x []float32) {
		exponent := r.Uint32N(240)
		for i := range x {
			x[i] = math.Float32frombits(r.Uint32()&0x807fffff | min(254, exponent+r.Uint32N(12))<<23)
		}
	}},
}

// TestEncodeLikeTensor compares every byte with package tensor, which is compared
// with llama-quantize: all kinds of blocks next to each other, in any number.
func TestEncodeLikeTensor(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 1))
	const rounds = 3
	var x []float32
	var names []string
	for range rounds {
		for _, b := range blocks {
			next := make([]float32, 256)
			b.fill(r, next)
			x, names = append(x, next...), append(names, b.name)
		}
	}
	for range 300 { // enough for candidates that are all but equal
		next := make([]float32, 256)
		blocks[r.IntN(9)].fill(r, next)
		x, names = append(x, next...), append(names, "one of the first")
	}
	for isa, encode := range encoders(t) {
		for _, f := range encoded {
			want, got := make([]byte, f.RowBytes(len(x))), make([]byte, f.RowBytes(len(x)))
			f.Encode(want, x)
			if !encode(f, got, x) {
				t.Fatalf("%s does not encode %v", isa, f)
			}
			for k, name := range names {
				g, w := got[k*f.BlockBytes():][:f.BlockBytes()], want[k*f.BlockBytes():][:f.BlockBytes()]
				if !bytes.Equal(g, w) {
					t.Errorf("%s %v block %d, %s:\n%x, want\n%x", isa, f, k, name, g, w)
				}
			}
		}
	}
}

// TestEncodeAnyNumber: the bytes of a block do not depend on how many there are,
// and nothing is written or read beyond them.
func TestEncodeAnyNumber(t *testing.T) {
	const most = 70
	r := rand.New(rand.NewPCG(9, 2))
	x := make([]float32, most*256+1)[1:] // no alignment but that of a float32
	for k := range most {
		blocks[r.IntN(len(blocks))].fill(r, x[k*256:][:256])
	}
	for isa, encode := range encoders(t) {
		for _, f := range encoded {
			want := make([]byte, f.RowBytes(len(x)))
			encode(f, want, x)
			for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 63, 64, 65, 69} {
				for _, from := range []int{0, 1, most - n} {
					if from+n > most {
						continue
					}
					size := f.RowBytes(n * 256)
					got := bytes.Repeat([]byte{0xa5}, size+64)
					encode(f, got[:size], x[from*256:(from+n)*256:(from+n)*256])
					if !bytes.Equal(got[:size], want[f.RowBytes(from*256):][:size]) {
						t.Fatalf("%s %v: %d blocks from %d differ", isa, f, n, from)
					}
					if !bytes.Equal(got[size:], bytes.Repeat([]byte{0xa5}, 64)) {
						t.Fatalf("%s %v: %d blocks write beyond them", isa, f, n)
					}
				}
			}
		}
	}
}

// TestEncodeAtOnce: goroutines share an encoder.
func TestEncodeAtOnce(t *testing.T) {
	x := normals(rand.New(rand.NewPCG(9, 3)), 40*256)
	encode := backend.Encoder(device(t, "", 1))
	for _, f := range encoded {
		want := make([]byte, f.RowBytes(len(x)))
		f.Encode(want, x)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				got := make([]byte, len(want))
				if encode(f, got, x) && !bytes.Equal(got, want) {
					t.Errorf("%v differs when encoded by many at once", f)
				}
			})
		}
		all.Wait()
	}
}

// TestEncodeRefuses: formats without a kernel are the caller's, untouched.
func TestEncodeRefuses(t *testing.T) {
	for _, isa := range cpu.ISAs() {
		encode := backend.Encoder(device(t, isa, 1))
		for _, f := range []tensor.DType{tensor.F32, tensor.BF16, tensor.Q8_0, tensor.Q4_0, tensor.Q2_K} {
			dst := make([]byte, f.RowBytes(256))
			if encode(f, dst, normals(rand.New(rand.NewPCG(1, 1)), 256)) || !bytes.Equal(dst, make([]byte, len(dst))) {
				t.Errorf("%s: %v is encoded, or was written to", isa, f)
			}
		}
	}
}
