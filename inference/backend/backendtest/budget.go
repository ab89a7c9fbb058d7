package backendtest

import (
	"math"

	"llorch/inference/tensor"
)

// ulp is the unit in which budgets count: the relative error of one float32
// rounding.
const ulp = 1.0 / (1 << 24)

// linearBudget is the error allowed to Linear by the format of the weights, in
// roundings of the sum of magnitudes Σ|x·w| + |bias| + |dst|. The unblocked formats
// are exact in float32, so that only the sum is rounded; a chain of k additions
// of random signs stays far below k roundings, and 8 is what published kernels
// with several accumulators keep for any length used.
func linearBudget(t tensor.DType) float64 {
	if t.Block() > 1 {
		return blockBudget
	}
	return 8
}

// The blocked formats sum products of scales and integers, some of them and a
// minimum apart, so that roundings count by the sum of larger magnitudes than
// Σ|x·w|: the levels of a block are of either sign around the weights.
const blockBudget = 16

// activationLoss is the relative error, as a root mean square, that rounding of
// activations may cause.
const activationLoss = 0.01

// activationSlack is how far rounding the activations may move one output of a
// blocked format, by phase. Decode: to int8 with one scale for each 32 elements,
// half a step of max|x|/127 each, to which the arithmetic of the rounding adds
// less than a thousandth; all of it where max|x|/127 is no normal float32.
// Prefill rounds nothing so far.
func activationSlack(t tensor.DType, decode bool, x, w []float32) float64 {
	if t.Block() == 1 || !decode {
		return 0
	}
	slack := 0.0
	for i := 0; i < len(x); i += 32 {
		peak, sum := 0.0, 0.0
		for j := i; j < i+32; j++ {
			peak, sum = max(peak, math.Abs(float64(x[j]))), sum+math.Abs(float64(w[j]))
		}
		step := peak / 254 * 1.001
		if peak/127 < 0x1p-126 {
			step = peak
		}
		slack += step * sum
	}
	return slack
}

// scoreBudget is the same for the dot product of a query and a key, by the
// format of the cache.
var scoreBudget = map[tensor.DType]float64{tensor.F32: 8, tensor.F16: 8, tensor.BF16: 8, tensor.Q8_0: 8}

// Budgets of the ops without such a sum, in roundings of the result, or of what
// is added to it.
const (
	normBudget    = 16    // a sum of squares in lanes, a root, a division
	swigluBudget  = 16    // an exponential of a few units, a division
	ropeBudget    = 4     // two products and a sum
	softmaxBudget = 32    // exponentials, their sum, the weighted sum of values
	tiny          = 1e-36 // below it a device may flush to zero
)

// expected is a value and the error allowed to it.
type expected struct{ value, bound float64 }

// within compares and reports the worst element.
func (r *rig) within(name string, got []float32, want []expected) {
	r.Helper()
	worst, at := 1.0, -1
	for i, w := range want {
		if miss := math.Abs(float64(got[i])-w.value) / (w.bound + tiny); !(miss <= worst) {
			if worst, at = miss, i; miss != miss {
				break
			}
		}
	}
	if at >= 0 {
		r.Errorf("%s: element %d of %d is %v, want %v ± %.2g", name, at, len(want), got[at], want[at].value, want[at].bound)
	}
}

// same compares bit for bit.
func (r *rig) same(name string, got, want []float32) {
	r.Helper()
	g, w := bits(got), bits(want)
	if len(g) != len(w) {
		r.Errorf("%s: %d elements, want %d", name, len(g), len(w))
		return
	}
	for i := range w {
		if g[i] != w[i] {
			r.Errorf("%s: element %d of %d is %v (%#x), want %v (%#x)", name, i, len(w), got[i], g[i], want[i], w[i])
			return
		}
	}
}
