package backendtest

import (
	"encoding/binary"
	"fmt"
	"math"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// blockFormats are weights in blocks of integers with scales. A device may round
// the activations that it multiplies with them (roundingSlack).
var blockFormats = []tensor.DType{
	tensor.Q4_0, tensor.Q4_1, tensor.Q5_0, tensor.Q5_1, tensor.Q8_0,
	tensor.Q2_K, tensor.Q3_K, tensor.Q4_K, tensor.Q5_K, tensor.Q6_K,
}

var allFormats = append(append([]tensor.DType(nil), weightFormats...), blockFormats...)

// fitted is the next length of a row that t has.
func fitted(t tensor.DType, cols int) int { return (cols + t.Block() - 1) / t.Block() * t.Block() }

// blockFacts are what tests need of a format beyond its Decode: where its f16
// scales are in a block, and the largest integers they are multiplied with.
var blockFacts = map[tensor.DType]struct {
	scale, minus       int // offset of the scale, and of the minimum or -1
	mostLevel, mostMin float64
}{
	tensor.Q4_0: {0, -1, 8, 0}, tensor.Q4_1: {0, 2, 15, 1}, tensor.Q5_0: {0, -1, 16, 0}, tensor.Q5_1: {0, 2, 31, 1},
	tensor.Q8_0: {0, -1, 128, 0}, tensor.Q2_K: {80, 82, 3 * 15, 15}, tensor.Q3_K: {108, -1, 4 * 32, 0},
	tensor.Q4_K: {0, 2, 15 * 63, 63}, tensor.Q5_K: {0, 2, 31 * 63, 63}, tensor.Q6_K: {208, -1, 32 * 128, 0},
}

// scales of every kind: zero, the smallest subnormals, ordinary, the largest.
var hostileScales = []float32{0, 1.0 / (1 << 24), -3.0 / (1 << 24), 1.0 / (1 << 14), 0.01, -0.02, 1, 65504, -65504}

// blockNoise fills a weight with random bytes, every code included, and gives
// the scales of its blocks values of all magnitudes, one magnitude a row. It
// returns the largest magnitude that an element or a part of it has, by block.
func (r *rig) blockNoise(t tensor.DType, rows, cols int) (w weight, peaks []float64) {
	r.Helper()
	host, f := noise(r.rnd, rows*t.RowBytes(cols)), blockFacts[t]
	for at := 0; at < len(host); at += t.BlockBytes() {
		scale := hostileScales[at/t.RowBytes(cols)%len(hostileScales)]
		binary.LittleEndian.PutUint16(host[at+f.scale:], tensor.Float32ToF16(scale))
		peak := math.Abs(float64(scale)) * f.mostLevel
		if f.minus >= 0 {
			binary.LittleEndian.PutUint16(host[at+f.minus:], tensor.Float32ToF16(scale/2))
			peak += math.Abs(float64(scale)) / 2 * f.mostMin
		}
		peaks = append(peaks, peak)
	}
	end := r.mapped(len(host), true)
	copy(end, host)
	return r.placeBytes(t, rows, cols, end), peaks
}

// wholes returns activations that no device needs to round: of every 32, integers
// up to 127 of which one has that size, times a power of two.
func (r *rig) wholes(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.rnd.IntN(255) - 127)
	}
	for i := 0; i < n; i += 32 {
		end := min(i+32, n)
		x[i+r.rnd.IntN(end-i)] = 127
		size := float32(math.Ldexp(1, r.rnd.IntN(9)-4))
		for j := i; j < end; j++ {
			x[j] *= size
		}
	}
	return x
}

// blockWant is x·Wᵀ in float64 for activations that need no rounding; a device
// may still round weights.
func (r *rig) blockWant(x []float32, w weight, peaks []float64, decode int) []expected {
	var want []expected
	in, block := w.Cols, w.Type.Block()
	for i := range len(x) / in {
		for o := range w.Rows {
			sum, size := 0.0, 0.0
			for k, xk := range x[i*in:][:in] {
				sum += float64(xk) * float64(w.val[o*in+k])
				size += math.Abs(float64(xk)) * peaks[(o*in+k)/block]
			}
			bound := blockBudget * ulp * size
			if backend.Rounds(r.d, w.Type, i >= decode) == tensor.BF16 {
				bound += bf16Slack(tensor.BF16, x[i*in:][:in], w.val[o*in:][:in])
			}
			want = append(want, expected{sum, bound})
		}
	}
	return want
}

// linearCodes multiplies random blocks with activations that need no rounding:
// first with 127 times the unit matrix, which shows every weight, then with
// integers of all magnitudes.
func linearCodes(r *rig) {
	const out = 9
	for _, t := range blockFormats {
		for _, in := range []int{t.Block(), 256 + 3*t.Block()} {
			w, peaks := r.blockNoise(t, out, in)
			unit := make([]float32, in*in)
			for i := range in {
				unit[i*in+i] = 127
			}
			for _, x := range [][]float32{unit, r.wholes(21 * in), r.wholes(in)} {
				n := len(x) / in
				for _, decode := range []int{0, n} {
					name := fmt.Sprintf("%v, %d rows of %d, %d decode rows", t, n, in, decode)
					r.within(name, r.linearBits(x, in, w, phases(n, decode)), r.blockWant(x, w, peaks, decode))
				}
			}
		}
	}
}

// linearLoss bounds what rounding the activations of normal data costs on the
// whole: 1 % of the result, as a root mean square.
func linearLoss(r *rig) {
	const n, in, out = 10, 2048, 40
	for _, t := range allFormats {
		w, x := r.weight(t, out, in, r.values(out*in)), r.values(n*in)
		for _, decode := range []int{0, n} {
			got, miss, size := r.linearBits(x, in, w, phases(n, decode)), 0.0, 0.0
			for i, e := range r.linearWant(x, in, []part{{w: w}}, nil, decode) {
				d := float64(got[i]) - e.value
				miss, size = miss+d*d, size+e.value*e.value
			}
			if loss := math.Sqrt(miss / size); !(loss <= activationLoss) {
				r.Errorf("%v, %d decode rows: the relative error is %.2g, want at most %g", t, decode, loss, activationLoss)
			}
		}
	}
}

// linearSpoiled: a scale that is no number spoils its output row and no other,
// wherever in the row its block is; so does an activation.
func linearSpoiled(r *rig) {
	const n, out = 7, 11
	for _, t := range blockFormats {
		in, f := 5*t.Block(), blockFacts[t]
		encoded := make([]byte, out*t.RowBytes(in))
		t.Encode(encoded, r.values(out*in))
		for block := range 5 {
			for _, bad := range []float32{nan, inf, -inf} {
				for _, at := range []int{f.scale, f.minus} {
					if at < 0 {
						continue
					}
					host := r.mapped(len(encoded), true)
					copy(host, encoded)
					binary.LittleEndian.PutUint16(host[6*t.RowBytes(in)+block*t.BlockBytes()+at:], tensor.Float32ToF16(bad))
					w := r.placeBytes(t, out, in, host)
					for _, decode := range []int{0, 1, n} {
						y := r.linearBits(r.values(n*in), in, w, phases(n, decode))
						r.poisoned(fmt.Sprintf("Linear with a scale of %v in block %d of %v, %d decode rows", bad, block, t, decode), transposed(y, out), n, 6)
					}
				}
				w, x := r.placeBytes(t, out, in, encoded), r.values(n*in)
				x[3*in+block*t.Block()+r.rnd.IntN(t.Block())] = bad
				for _, decode := range []int{0, n} {
					r.poisoned(fmt.Sprintf("Linear of %v, %v, %d decode rows", bad, t, decode), r.linearBits(x, in, w, phases(n, decode)), out, 3)
				}
			}
		}
	}
}

// linearExtremes: activations of every magnitude that float32 has. The smallest
// may count as zero.
func linearExtremes(r *rig) {
	const out = 5
	sizes := []float32{1e-38, 1e-36, 1e-30, 1e-10, 1, 1e10, 1e30, 1e36}
	for _, t := range blockFormats {
		in := fitted(t, 96)
		v := r.values(out * in)
		for i := range v {
			v[i] *= 0.01
		}
		w, x := r.weight(t, out, in, v), r.values(len(sizes)*in)
		for i := range x {
			x[i] *= sizes[i/in]
		}
		n := len(sizes)
		for _, decode := range []int{0, n} {
			name := fmt.Sprintf("%v of all magnitudes, %d decode rows", t, decode)
			r.within(name, r.linearBits(x, in, w, phases(n, decode)), r.linearWant(x, in, []part{{w: w}}, nil, decode))
		}
	}
}
