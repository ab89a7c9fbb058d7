package backendtest

import (
	"math"

	"llorch/inference/tensor"
)

// ulp is the unit in which budgets count: the relative error of one float32
// rounding.
const ulp = 1.0 / (1 << 24)

// linearBudget is the error allowed to Linear by the format of the weights, in
// roundings of the sum of magnitudes Σ|x·w| + |bias| + |dst|. The formats so far
// are exact in float32, so that only the sum is rounded; a chain of k additions
// of random signs stays far below k roundings, and 8 is what published kernels
// with several accumulators keep for any length used.
var linearBudget = map[tensor.DType]float64{tensor.F32: 8, tensor.F16: 8, tensor.BF16: 8}

// scoreBudget is the same for the dot product of a query and a key, by the
// format of the cache.
var scoreBudget = map[tensor.DType]float64{tensor.F32: 8, tensor.F16: 8, tensor.BF16: 8}

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
