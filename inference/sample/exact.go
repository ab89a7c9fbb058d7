package sample

import "math"

// The functions below are specified operation by operation, in float64 without
// fused multiply-add (the conversions forbid the compiler to fuse), so that a
// kernel in any language can give the same bits. They are accurate to a few
// units in the last place, far beyond what a draw needs.

const (
	ln2Hi = 6.93147180369123816490e-01 // ln 2 with its last 21 bits cleared: k·ln2Hi is exact for |k| < 2²¹
	ln2Lo = 1.90821492927058770002e-10
	log2E = 1.44269504088896338700e+00
)

// ln returns the natural logarithm of a positive normal number:
// x = 2ᵏ·m with m in [√½, √2), ln m = 2·atanh((m−1)/(m+1)) by its series.
func ln(x float64) float64 {
	m, k := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, k = m*2, k-1
	}
	s := (m - 1) / (m + 1)
	z := float64(s * s)
	p := 1.0 / 21
	for d := 19.0; d >= 1; d -= 2 {
		p = float64(p*z) + 1/d
	}
	return float64(float64(k)*ln2Hi) + (float64(2*float64(s*p)) + float64(float64(k)*ln2Lo))
}

// gumbel turns a random word into a standard Gumbel variable: −ln(−ln u) with
// u = (w + ½)·2⁻³², so that u is never 0 or 1.
func gumbel(w uint32) float64 {
	u := (float64(w) + 0.5) * (1.0 / (1 << 32))
	return -ln(-ln(u))
}

// gumbelBound is not below gumbel(w): −ln u ≥ 1−u, so gumbel ≤ −ln(1−u), and
// 1−u ≥ 2^−(zeros+1) where zeros counts the leading ones of w.
func gumbelBound(leadingOnes int) float64 { return float64(leadingOnes+1) * 0.6931471805599454 }

// gumbelMax is not below gumbel of any word.
const gumbelMax = 33 * 0.6931471805599454

// weightOne is exp(0) in the fixed point of weight.
const weightOne = 1 << 40

// invFactorial holds 1/n!.
var invFactorial = [14]float64{1, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320,
	1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800}

// weight returns exp(x) for x ≤ 0 as a fixed-point number: sums of weights are
// sums of integers, which do not depend on the order of addition.
func weight(x float64) uint64 {
	if x < -28.5 { // below half a unit
		return 0
	}
	k := math.Floor(float64(x*log2E) + 0.5)
	r := (x - float64(k*ln2Hi)) - float64(k*ln2Lo)
	p := invFactorial[13]
	for n := 12; n >= 0; n-- { // Σ rⁿ/n! by Horner
		p = float64(r*p) + invFactorial[n]
	}
	return uint64(float64(p*math.Float64frombits(uint64(int(k)+40+1023)<<52)) + 0.5)
}
