//go:build cgo

package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/backend/cpu"
	"llorch/inference/tensor"
)

var formats = []tensor.DType{tensor.F32, tensor.F16, tensor.BF16}

// phased is a batch whose first rows are of the decode phase. Linear asks no
// more of it.
func phased(n, decode int) *backend.Batch {
	return &backend.Batch{Tokens: make([]int32, n), Decode: decode}
}

func normals(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func input(t testing.TB, d backend.Device, rows, cols int, v []float32) backend.Tensor {
	t.Helper()
	x, err := d.Alloc(backend.Scratch, tensor.F32, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	copy(x.Float32s(), v)
	return x
}

// placed places random weights and returns them with their values.
func placed(t testing.TB, d backend.Device, r *rand.Rand, f tensor.DType, rows, cols int) (backend.Linear, []float32) {
	t.Helper()
	v := normals(r, rows*cols)
	host := make([]byte, rows*f.RowBytes(cols))
	f.Encode(host, v)
	f.Decode(v, host)
	w, err := d.Place(f, rows, cols, host)
	if err != nil {
		t.Fatal(err)
	}
	return backend.Linear{{W: w}}, v
}

// run returns x·Wᵀ.
func run(t testing.TB, d backend.Device, l backend.Linear, x []float32, b *backend.Batch) []float32 {
	t.Helper()
	n := b.Rows()
	dst := input(t, d, n, l.Out(), nil)
	d.Linear(dst, input(t, d, n, l[0].W.Cols, x), l, b)
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	return dst.Float32s()
}

// TestLinearLengths: every length of a row from 1 to 700 and those of real
// models, in both phases, against float64.
func TestLinearLengths(t *testing.T) {
	var lengths []int
	for k := 1; k <= 700; k++ {
		lengths = append(lengths, k)
	}
	lengths = append(lengths, 2048, 4096, 5632, 11008)
	for _, isa := range cpu.ISAs() {
		d := device(t, isa, 1)
		r := rand.New(rand.NewPCG(1, 1))
		for i, k := range lengths {
			const n, decode, out = 5, 2, 6
			l, w := placed(t, d, r, formats[i%3], out, k)
			x := normals(r, n*k)
			for at, got := range run(t, d, l, x, phased(n, decode)) {
				sum, size := dot(x[at/out*k:][:k], w[at%out*k:][:k])
				slack := 8 * size / (1 << 24)
				if backend.Rounds(d, formats[i%3], at/out >= decode) == tensor.BF16 {
					slack += size / (1 << 7) // half a place each of weights and activations
				}
				if !(math.Abs(float64(got)-sum) <= slack) {
					t.Fatalf("%s, %v of %d: row %d, output %d is %v, want %v", isa, formats[i%3], k, at/out, at%out, got, sum)
				}
			}
		}
	}
}

func dot(x, w []float32) (sum, size float64) {
	for i := range x {
		y := float64(x[i]) * float64(w[i])
		sum, size = sum+y, size+math.Abs(y)
	}
	return sum, size
}

// TestRowsAreTheirOwn: a decode row has the bits it has alone, among 1 to 17; a
// prefill row the bits it has in any other number of rows.
func TestRowsAreTheirOwn(t *testing.T) {
	const most, out, k = 40, 37, 613
	for _, isa := range cpu.ISAs() {
		d := device(t, isa, 2)
		r := rand.New(rand.NewPCG(2, 2))
		for _, f := range formats {
			l, _ := placed(t, d, r, f, out, k)
			x := normals(r, most*k)
			decoded, filled := run(t, d, l, x, phased(most, most)), run(t, d, l, x, phased(most, 0))
			for n := 1; n <= 17; n++ {
				sameBits(t, fmt.Sprintf("%s %v, %d decode rows", isa, f, n), run(t, d, l, x[:n*k], phased(n, n)), decoded[:n*out])
				sameBits(t, fmt.Sprintf("%s %v, %d prefill rows", isa, f, n), run(t, d, l, x[:n*k], phased(n, 0)), filled[:n*out])
			}
			mixed := run(t, d, l, x, phased(most, 7))
			sameBits(t, fmt.Sprintf("%s %v, both phases", isa, f), mixed, append(append([]float32(nil), decoded[:7*out]...), filled[7*out:]...))
		}
	}
}

func sameBits(t *testing.T, name string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %v, want %v", name, i, got[i], want[i])
		}
	}
}

// TestLinearAgainstStructure: what holds exactly whatever the order of
// additions: zeros give zeros, doubled activations doubled results, permuted
// weight rows permuted results, a range of rows the results of the range.
func TestLinearAgainstStructure(t *testing.T) {
	const n, out, k = 6, 70, 300
	for _, isa := range cpu.ISAs() {
		d := device(t, isa, 2)
		r := rand.New(rand.NewPCG(3, 3))
		for _, f := range formats {
			l, w := placed(t, d, r, f, out, k)
			x, twice, zero := normals(r, n*k), make([]float32, n*k), make([]float32, n*k)
			for i := range x {
				twice[i] = 2 * x[i]
			}
			b := phased(n, 3)
			y, y2, y0 := run(t, d, l, x, b), run(t, d, l, twice, b), run(t, d, l, zero, b)
			part := run(t, d, backend.Linear{{W: l[0].W.Slice(13, 50)}}, x, b)
			back := make([]float32, len(w))
			for o := range out {
				copy(back[(out-1-o)*k:], w[o*k:(o+1)*k])
			}
			host := make([]byte, out*f.RowBytes(k))
			f.Encode(host, back)
			wBack, err := d.Place(f, out, k, host)
			if err != nil {
				t.Fatal(err)
			}
			reversed := run(t, d, backend.Linear{{W: wBack}}, x, b)
			for i := range n {
				for o := range out {
					v := y[i*out+o]
					if y2[i*out+o] != 2*v || y0[i*out+o] != 0 || reversed[i*out+out-1-o] != v || o >= 13 && o < 50 && part[i*37+o-13] != v {
						t.Fatalf("%s %v: row %d, output %d: %v, doubled %v, of zero %v, reversed %v", isa, f, i, o, v, y2[i*out+o], y0[i*out+o], reversed[i*out+out-1-o])
					}
				}
			}
		}
	}
}

// TestThreadsDoNotMatter: the same bits with one, two and three threads, for
// shapes with more work items than threads.
func TestThreadsDoNotMatter(t *testing.T) {
	const n, out, k = 70, 1500, 257
	for _, isa := range cpu.ISAs() {
		var want []float32
		for threads := 1; threads <= 3; threads++ {
			d := device(t, isa, threads)
			r := rand.New(rand.NewPCG(4, 4))
			l, _ := placed(t, d, r, tensor.BF16, out, k)
			got := run(t, d, l, normals(r, n*k), phased(n, 5))
			if want == nil {
				want = append(want, got...)
			}
			sameBits(t, fmt.Sprintf("%s, %d threads", isa, threads), got, want)
		}
	}
}

// TestPlaceInPlace: the device reads the bytes it was given, not a copy.
func TestPlaceInPlace(t *testing.T) {
	d := device(t, "", 1)
	host := make([]byte, 12)
	w, err := d.Place(tensor.F32, 1, 3, host)
	if err != nil {
		t.Fatal(err)
	}
	tensor.F32.Encode(host, []float32{1, 2, 3})
	if got := run(t, d, backend.Linear{{W: w}}, []float32{1, 1, 1}, phased(1, 1)); got[0] != 6 || w.Data != unsafe.Pointer(&host[0]) {
		t.Errorf("sum of 1, 2, 3 is %v", got[0])
	}
}
