package llama

import "math"

// RopeTable returns cos and sin of every rotation, each [positions × RotaryDim/2],
// row-major: row p turns pair i of a head by p·InvFreq[i], pair i being elements
// i and i + RotaryDim/2 of the head, as HF files have them, or 2i and 2i+1 where
// the config is Interleaved.
//
// Transformers computes the table in float32, angle included, and a model has
// learned with that table. So the angle here is the float32 product too; only
// cos and sin themselves are taken in float64 and rounded.
func (c *Config) RopeTable(positions int) (cos, sin []float32) {
	return c.ropeRows(c.InvFreq(positions), 0, positions)
}

// ropeRows returns rows [from,to) of the table.
func (c *Config) ropeRows(freq []float32, from, to int) (cos, sin []float32) {
	scale := float32(c.Rope.AttentionFactor)
	cos, sin = make([]float32, 0, (to-from)*len(freq)), make([]float32, 0, (to-from)*len(freq))
	for p := from; p < to; p++ {
		for _, w := range freq {
			s, k := math.Sincos(float64(float32(p) * w))
			cos, sin = append(cos, float32(k)*scale), append(sin, float32(s)*scale)
		}
	}
	return cos, sin
}

// InvFreq returns the angle in radians that pair i turns by from one position to
// the next, [RotaryDim/2], in contexts of at most so many positions, on which only
// longrope depends. The formulas are those of the papers as transformers'
// modeling_rope_utils evaluates them, one float32 operation at a time. Go may
// fuse a product and a sum unless the product is converted, hence the float32
// around products.
func (c *Config) InvFreq(positions int) []float32 {
	freq, period := make([]float32, c.RotaryDim/2), make([]float32, c.RotaryDim/2)
	base := float64(float32(c.RopeTheta))
	for i := range freq {
		exponent := float32(2*i) / float32(c.RotaryDim)
		period[i] = float32(math.Pow(base, float64(exponent))) // θ^(2i/d), positions a radian
		freq[i] = 1 / period[i]
	}
	switch c.Rope.Type {
	case "linear":
		for i := range freq {
			freq[i] /= float32(c.Rope.Factor)
		}
	case "llama3":
		c.Rope.scaleLlama3(freq)
	case "yarn":
		c.Rope.scaleYarn(freq, period, c.RopeTheta)
	case "longrope":
		c.Rope.scaleLong(freq, period, positions)
	case "factors":
		for i := range freq {
			freq[i] /= float32(c.Rope.Long[i])
		}
	}
	return freq
}

// scaleLlama3 divides the frequencies of long waves by the factor, leaves those
// of short waves, and blends between the two bounds (Llama 3.1).
func (r RopeScaling) scaleLlama3(freq []float32) {
	original := float64(r.OriginalPositions)
	longest, shortest := float32(original/r.LowFreqFactor), float32(original/r.HighFreqFactor)
	factor := float32(r.Factor)
	for i, w := range freq {
		wave := float32(1/w) * float32(2*math.Pi)
		switch {
		case wave > longest:
			freq[i] = w / factor
		case wave >= shortest:
			turns := float32(float32(1/wave)*float32(original)) - float32(r.LowFreqFactor)
			smooth := turns / float32(r.HighFreqFactor-r.LowFreqFactor)
			freq[i] = float32(float32((1-smooth)*w)/factor) + float32(smooth*w)
		}
	}
}

// scaleYarn blends, pair by pair, from frequencies that are left alone to those
// that are divided by the factor (YaRN, arXiv 2309.00071, section 3.2).
func (r RopeScaling) scaleYarn(freq, period []float32, theta float64) {
	low, high := r.yarnBounds(float64(2*len(freq)), theta)
	span := float32(high - low)
	for i, w := range freq {
		ramp := min(max((float32(i)-float32(low))/span, 0), 1)
		keep := 1 - ramp
		interpolated := 1 / float32(float32(r.Factor)*period[i])
		freq[i] = float32(interpolated*(1-keep)) + float32(w*keep)
	}
}

// yarnBounds returns the pairs between which the ramp runs: pair(n) is the one
// that makes n turns within the original context.
func (r RopeScaling) yarnBounds(dim, theta float64) (low, high float64) {
	pair := func(turns float64) float64 {
		return dim * math.Log(float64(r.OriginalPositions)/(turns*2*math.Pi)) / (2 * math.Log(theta))
	}
	low, high = pair(r.BetaFast), pair(r.BetaSlow)
	if r.Truncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, dim-1)
	if low == high {
		high += 0.001 // no division by zero
	}
	return low, high
}
