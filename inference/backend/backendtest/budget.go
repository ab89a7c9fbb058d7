package backendtest

import (
	"math"

	"llorch/inference/backend"
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

// roundingSlack is how far one output may be off because the device rounds what
// it multiplies, as it says itself (backend.Rounder): half a step of each number,
// on top of the roundings of the sum.
func (r *rig) roundingSlack(t tensor.DType, decode bool, x, w []float32) float64 {
	switch backend.Rounds(r.d, t, !decode) {
	case tensor.BF16:
		return bf16Slack(t, x, w)
	case tensor.Q8_0:
		return int8Slack(x, w)
	}
	return 0
}

// bf16Slack: an activation loses up to 2⁻⁸ of itself, a weight that is not bf16
// as much, and what rounds beyond the largest bf16 is infinite, which no test asks
// for.
func bf16Slack(t tensor.DType, x, w []float32) float64 {
	size := 0.0
	for i, v := range x {
		size += math.Abs(float64(v) * float64(w[i]))
	}
	if t != tensor.BF16 {
		size *= 2 + 1.0/(1<<8)
	}
	return size / (1 << 8)
}

// int8Slack: one scale for each 32 activations, half a step of max|x|/127 each, to
// which the arithmetic of the rounding adds less than a thousandth; all of it
// where max|x|/127 is no normal float32.
func int8Slack(x, w []float32) float64 {
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

// addBF16AttendSlack adds what rounding queries, keys, weights and values to bf16 may
// change. weights are those of the exact softmax, before they are divided by their
// sum; sizes the sums of magnitudes of the scores' products; cache is the format of
// keys and values, of which bf16 needs no rounding.
//
// A score is off by at most d = size·(2⁻⁸ for the query and 2⁻⁸ for the key), so a
// weight becomes w·g with g between e⁻ᵈ·(1−2⁻⁸) and eᵈ·(1+2⁻⁸). Since the weights are
// divided by their own sum, a result y becomes Σ w·g·v / Σ w·g, which differs from y
// by Σ w·(g−1)·(v−y) / Σ w·g: values that are alike lose nothing. Rounding of values
// adds 2⁻⁸ of their magnitude.
func addBF16AttendSlack(want []expected, cache tensor.DType, weights, sizes []float64, values func(i int) []float32) {
	const step = 1.0 / (1 << 8)
	score, value := step*(2+step), step
	if cache == tensor.BF16 {
		score, value = step, 0
	}
	least, slack := 0.0, make([]float64, len(want))
	for i, w := range weights {
		grown := w * math.Exp(score*sizes[i]) * (1 + step)
		least += w * math.Exp(-score*sizes[i]) * (1 - step)
		for j, v := range values(i) {
			slack[j] += (grown-w)*math.Abs(float64(v)-want[j].value) + grown*value*math.Abs(float64(v))
		}
	}
	for j := range want {
		want[j].bound += slack[j] / least
	}
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
