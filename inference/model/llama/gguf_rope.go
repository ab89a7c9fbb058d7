package llama

import (
	"math"

	"llorch/inference/weights"
)

// Tensors of a GGUF file that hold what the periods of the rotations are
// multiplied by, [rotated pairs].
const (
	freqFactors  = "rope_freqs.weight" // the llama3 scaling, worked out
	longFactors  = "rope_factors_long.weight"
	shortFactors = "rope_factors_short.weight"
)

// ggufRope reads base, dimensions and scaling of the rotations.
func (c *Config) ggufRope(k *keys, s *weights.Source, q Quirks) {
	c.Rope = RopeScaling{AttentionFactor: 1}
	c.RopeTheta = k.positive("rope.freq_base", defaultTheta)
	c.RotaryDim = k.integer("rope.dimension_count", c.HeadDim, 2, c.HeadDim)
	if k.err == nil && c.RotaryDim%2 != 0 {
		k.fail("rope.dimension_count", "%d is odd; rotary positions turn pairs", c.RotaryDim)
	}
	if k.err == nil && c.RotaryDim != c.HeadDim && !q.PartialRotary {
		k.fail("rope.dimension_count", "%d of heads of %d: heads rotated in part are not supported by the %s architecture", c.RotaryDim, c.HeadDim, k.arch)
	}
	kind := k.text("rope.scaling.type", "")
	_, listed := s.Tensor(freqFactors)
	switch {
	case k.err != nil:
	case listed && kind != "" && kind != "none":
		k.fail("rope.scaling.type", "%.80q beside %s is not supported", kind, freqFactors)
	case listed:
		c.Rope.Type = "factors"
		c.Rope.Long = k.factors(s, freqFactors, c.RotaryDim/2)
	case kind == "longrope" || kind == "su":
		c.ggufLongRope(k, s)
	case kind == "yarn":
		c.ggufYarn(k)
	case kind == "linear" || kind == "" && (k.has("rope.scaling.factor") || k.has("rope.scale_linear")):
		c.Rope.Type = "linear"
		c.Rope.Factor = k.positive("rope.scaling.factor", k.positive("rope.scale_linear", 1))
	case kind == "" || kind == "none":
		if _, ok := s.Tensor(longFactors); ok { // what the first phi3 files left to be guessed
			c.ggufLongRope(k, s)
		}
	default:
		k.fail("rope.scaling.type", "%.80q is not supported; supported: none, linear, yarn, longrope", kind)
	}
}

// original is the context of the first training.
func (c *Config) original(k *keys) int {
	return k.integer("rope.scaling.original_context_length", c.MaxPositions, 2, maxPositions)
}

func (c *Config) ggufLongRope(k *keys, s *weights.Source) {
	c.Rope.Type = "longrope"
	c.Rope.OriginalPositions = c.original(k)
	c.Rope.Factor = float64(c.MaxPositions) / float64(c.Rope.OriginalPositions)
	c.Rope.AttentionFactor = k.positive("rope.scaling.attn_factor", 1)
	c.Rope.Long = k.factors(s, longFactors, c.RotaryDim/2)
	c.Rope.Short = k.factors(s, shortFactors, c.RotaryDim/2)
}

// ggufYarn reads YaRN. rope.scaling.attn_factor comes on top of the attention
// factor of the paper.
func (c *Config) ggufYarn(k *keys) {
	if c.RopeTheta <= 1 {
		k.fail("rope.freq_base", "%v is not above 1, which yarn needs", c.RopeTheta)
	}
	r := &c.Rope
	r.Type, r.Truncate = "yarn", true
	r.OriginalPositions = c.original(k)
	if r.Factor = k.positive("rope.scaling.factor", 0); r.Factor == 0 {
		k.fail("rope.scaling.factor", "missing, and yarn scaling needs it")
	}
	r.BetaFast, r.BetaSlow = k.positive("rope.scaling.yarn_beta_fast", 32), k.positive("rope.scaling.yarn_beta_slow", 1)
	if k.err == nil && r.BetaFast < r.BetaSlow {
		k.fail("rope.scaling.yarn_beta_fast", "%v is below yarn_beta_slow, %v", r.BetaFast, r.BetaSlow)
	}
	if x := k.positive("rope.scaling.yarn_ext_factor", 1); k.err == nil && math.Abs(x-1) > 1e-6 {
		k.fail("rope.scaling.yarn_ext_factor", "%v is not supported; only 1 is", x)
	}
	r.AttentionFactor = k.positive("rope.scaling.attn_factor", k.positive("rope.scaling.yarn_attn_factor", 1)) * yarnMscale(r.Factor, 1)
}

// factors reads a vector of what the period of each rotated pair is multiplied by.
func (k *keys) factors(s *weights.Source, name string, pairs int) []float64 {
	t, ok := s.Tensor(name)
	fail := func(reason string) []float64 {
		e := &weights.Error{File: s.Files[0].Path, Tensor: name, Offset: -1, Reason: reason}
		if ok {
			e.File, e.Offset = s.Files[t.File].Path, t.Offset
		}
		k.keep(e)
		return nil
	}
	switch {
	case !ok:
		return fail("missing, and rope.scaling.type needs it")
	case t.Type == 0 || t.Type.Block() != 1 || len(t.Shape) != 1 || t.Shape[0] != pairs:
		return fail("not a vector of one number for each pair that is rotated")
	}
	raw, values := make([]byte, t.Bytes), make([]float32, pairs)
	if !k.keep(s.ReadTensor(t, raw, 0)) {
		return nil
	}
	t.Type.Decode(values, raw)
	list := make([]float64, pairs)
	for i, x := range values {
		if !(x >= 1e-6 && x <= 1e6) {
			return fail("a factor is not from 1e-6 to 1e6")
		}
		list[i] = float64(x)
	}
	return list
}
