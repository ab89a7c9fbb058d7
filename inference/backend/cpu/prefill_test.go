//go:build cgo

package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cpu"
	"llorch/inference/tensor"
)

// everyISA is what this host runs, and the emulated matrix unit where it can be.
func everyISA() []string {
	isas := cpu.ISAs()
	if slices.Contains(isas, "avx512") {
		isas = append(isas, "amx-emulated")
	}
	return isas
}

var everyFormat = []tensor.DType{tensor.F32, tensor.F16, tensor.BF16, tensor.Q4_0, tensor.Q4_1, tensor.Q5_0, tensor.Q5_1,
	tensor.Q8_0, tensor.Q2_K, tensor.Q3_K, tensor.Q4_K, tensor.Q5_K, tensor.Q6_K}

// slack bounds what the rounding of activations, and on the matrix unit of
// weights, may change of one result: half a step of each.
func slack(rounds, weights tensor.DType, x, w []float32) float64 {
	total := 0.0
	switch rounds {
	case tensor.BF16:
		_, size := dot(x, w)
		total = size / (1 << 8)
		if weights != tensor.BF16 {
			total *= 2 + 1.0/(1<<8)
		}
	case tensor.Q8_0:
		for k := 0; k < len(x); k += 32 {
			top, sum := 0.0, 0.0
			for i := k; i < k+32; i++ {
				top, sum = max(top, math.Abs(float64(x[i]))), sum+math.Abs(float64(w[i]))
			}
			total += top / 254 * 1.001 * sum
		}
	}
	return total
}

// TestPrefillFormats: prefill rows of every format on every set against float64,
// within the bound of what the set says it rounds, and in the root mean square
// far below it.
func TestPrefillFormats(t *testing.T) {
	for _, isa := range everyISA() {
		d := device(t, isa, 2)
		r := rand.New(rand.NewPCG(11, 3))
		for _, f := range everyFormat {
			for _, s := range []struct{ n, out, k int }{{1, 1, 256}, {5, 33, 512}, {17, 67, 768}, {40, 130, 256}, {70, 20, 1280}, {33, 18, 2304}} {
				rounds := backend.Rounds(d, f, true)
				l, w := placed(t, d, r, f, s.out, s.k)
				x := normals(r, s.n*s.k)
				miss, size := 0.0, 0.0
				for at, got := range run(t, d, l, x, phased(s.n, 0)) {
					xr, wr := x[at/s.out*s.k:][:s.k], w[at%s.out*s.k:][:s.k]
					want, mag := dot(xr, wr)
					if !(math.Abs(float64(got)-want) <= 16*mag/(1<<24)+slack(rounds, f, xr, wr)) {
						t.Fatalf("%s %v %+v: row %d, output %d is %v, want %v", isa, f, s, at/s.out, at%s.out, got, want)
					}
					miss, size = miss+(float64(got)-want)*(float64(got)-want), size+want*want
				}
				if rms := math.Sqrt(miss / size); s.n > 1 && !(rms <= 0.01) {
					t.Errorf("%s %v %+v: relative error %.4f", isa, f, s, rms)
				}
			}
		}
	}
}

// TestPrefillCuts: the bits of a prefill row do not depend on the rows beside it,
// on threads, or on how many rows of activations share a pass over the weights.
func TestPrefillCuts(t *testing.T) {
	for _, isa := range everyISA() {
		t.Run(isa, func(t *testing.T) { // which closes its devices
			formats := everyFormat
			if isa == "portable" {
				formats = []tensor.DType{tensor.BF16, tensor.Q8_0, tensor.Q4_K}
			}
			for _, f := range formats {
				checkCuts(t, isa, f)
			}
		})
	}
}

func checkCuts(t *testing.T, isa string, f tensor.DType) {
	t.Helper()
	const most, out = 600, 70
	k := 1280
	if f.Block() == 32 {
		k = 1056
	} else if f.Block() == 1 {
		k = 1043
	}
	if strings.HasPrefix(isa, "amx") {
		k += 1024 // more than a block of k
	}
	var want []float32
	for threads := 1; threads <= 3; threads++ {
		d := device(t, isa, threads)
		r := rand.New(rand.NewPCG(12, 5))
		l, _ := placed(t, d, r, f, out, k)
		x := normals(r, most*k)
		if want == nil {
			want = slices.Clone(run(t, d, l, x, phased(most, 0)))
		}
		for _, n := range []int{1, 6, 16, 64, 65, 128, 513} {
			name := fmt.Sprintf("%s %v, %d rows, %d threads", isa, f, n, threads)
			sameBits(t, name, run(t, d, l, x[:n*k], phased(n, 0)), want[:n*out])
		}
		sameBits(t, fmt.Sprintf("%s %v, rows behind others", isa, f), run(t, d, l, x[192*k:], phased(most-192, 0)), want[192*out:])
	}
}

// TestPrefillSetsAgree: sets that round activations to int8 give the same bits. What
// they do is exact but for one chain of additions a result, whose order is the same;
// how weights are unpacked, and by how many rows at a time, must not show.
func TestPrefillSetsAgree(t *testing.T) {
	for _, f := range everyFormat {
		first, want := "", []float32(nil)
		for _, isa := range cpu.ISAs() {
			d := device(t, isa, 2)
			if backend.Rounds(d, f, true) != tensor.Q8_0 {
				continue
			}
			r := rand.New(rand.NewPCG(23, uint64(f)))
			l, _ := placed(t, d, r, f, 77, 1280)
			got := run(t, d, l, normals(r, 19*1280), phased(19, 0))
			if first == "" {
				first, want = isa, got
			}
			sameBits(t, fmt.Sprintf("%v, %s and %s", f, first, isa), got, want)
		}
	}
}

// TestPrefillNotFinite: what is not finite among the activations or the scales
// of a row makes the results that it belongs to not finite, and no others.
func TestPrefillNotFinite(t *testing.T) {
	const n, out, k = 9, 40, 512
	for _, isa := range everyISA() {
		d := device(t, isa, 1)
		for _, f := range everyFormat {
			for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
				r := rand.New(rand.NewPCG(13, 5))
				l, _ := placed(t, d, r, f, out, k)
				x := normals(r, n*k)
				x[4*k+300] = bad
				for at, got := range run(t, d, l, x, phased(n, 0)) {
					if finite := !math.IsNaN(float64(got)) && !math.IsInf(float64(got), 0); finite == (at/out == 4) {
						t.Fatalf("%s %v: %v in row 4 makes row %d %v", isa, f, bad, at/out, got)
					}
				}
			}
		}
	}
}

// TestPrefillMixed: the parts of one projection may be of different formats, and each gets
// what it gets alone, though a thread begins with its next item, of whatever part, beside
// the one before.
func TestPrefillMixed(t *testing.T) {
	const most, k = 300, 2304
	formats := []tensor.DType{tensor.Q8_0, tensor.F32, tensor.Q4_K, tensor.BF16, tensor.Q8_0, tensor.Q6_K}
	outs := []int{200, 40, 70, 33, 1, 300}
	for _, isa := range everyISA() {
		if isa == "portable" { // has one kernel for all, and takes seconds
			continue
		}
		t.Run(isa, func(t *testing.T) {
			for threads := 1; threads <= 3; threads++ {
				d := device(t, isa, threads)
				r := rand.New(rand.NewPCG(21, 4))
				var all backend.Linear
				for i, f := range formats {
					l, _ := placed(t, d, r, f, outs[i], k)
					all = append(all, l...)
				}
				x := normals(r, most*k)
				for _, n := range []int{5, 40, most} {
					got, col := run(t, d, all, x[:n*k], phased(n, 0)), 0
					for i := range all {
						alone, part := run(t, d, all[i:i+1], x[:n*k], phased(n, 0)), make([]float32, 0, n*outs[i])
						for row := range n {
							part = append(part, got[row*all.Out()+col:][:outs[i]]...)
						}
						sameBits(t, fmt.Sprintf("%s, part %d, %v, %d rows, %d threads", isa, i, formats[i], n, threads), part, alone)
						col += outs[i]
					}
				}
			}
		})
	}
}
