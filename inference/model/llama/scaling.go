package llama

import (
	"math"

	"llorch/inference/weights/strictjson"
)

// RopeScaling is how the rotary frequencies are changed for contexts beyond
// those of the first training.
type RopeScaling struct {
	Type              string    // "" (none), "linear", "llama3", "yarn", "longrope", "factors" (of a GGUF file)
	Factor            float64   // all types: how much longer the context became
	OriginalPositions int       // llama3, yarn, longrope: the context of the first training
	LowFreqFactor     float64   // llama3: wave lengths above OriginalPositions/this are scaled in full
	HighFreqFactor    float64   // llama3: those below OriginalPositions/this not at all
	BetaFast          float64   // yarn: turns in OriginalPositions above which nothing is scaled
	BetaSlow          float64   // yarn: turns below which everything is
	Truncate          bool      // yarn: the bounds of the two are rounded outward to whole pairs
	AttentionFactor   float64   // cos and sin are multiplied by it; 1 but for yarn and longrope
	Short, Long       []float64 // longrope: what the period of each pair is multiplied by, in contexts up to OriginalPositions and beyond; factors: Long alone, in all
}

// rope reads rope_theta, rope_scaling (transformers 4) and rope_parameters (5).
// A rope_scaling that is not empty goes before rope_parameters, and a rope_theta
// inside before the one outside.
func (c *Config) rope(f *fields, q Quirks) {
	c.Rope = RopeScaling{AttentionFactor: 1}
	partial := f.positive("partial_rotary_factor", 1)
	c.RopeTheta = f.positive("rope_theta", defaultTheta)
	name, v := "rope_scaling", f.some("rope_scaling")
	parameters := f.some("rope_parameters")
	if v == nil || len(v.Members) == 0 && v.Kind == strictjson.Object {
		name, v = "rope_parameters", parameters
	}
	outer := f.optional("original_max_position_embeddings", q.OriginalPositions, 1, maxPositions)
	if v == nil || f.err != nil {
		c.rotaryDim(f, q, partial)
		return
	}
	if v.Kind != strictjson.Object {
		f.fail(name, "%v where an object belongs", v.Kind)
		return
	}
	r := f.sub(name, v)
	c.RopeTheta = r.positive("rope_theta", c.RopeTheta)
	c.rotaryDim(r, q, r.positive("partial_rotary_factor", partial))
	for i := range v.Members {
		if m := &v.Members[i]; m.Value.Kind == strictjson.Object {
			r.fail(m.Key, "rotary parameters by kind of layer are not supported")
		}
	}
	if r.err == nil {
		c.scaling(r, q, outer)
	}
	if err := r.done(); err != nil && f.err == nil {
		f.err = err
	}
}

// rotaryDim is how many elements of a head are rotated; transformers rounds
// the product down.
func (c *Config) rotaryDim(f *fields, q Quirks, partial float64) {
	c.RotaryDim = c.HeadDim
	if f.err != nil || partial == 1 {
		return
	}
	if !q.PartialRotary {
		f.fail("partial_rotary_factor", "%v is not supported by the %s family; only 1 is", partial, c.Architecture)
		return
	}
	c.RotaryDim = int(float64(c.HeadDim) * min(partial, 2))
	if c.RotaryDim < 2 || c.RotaryDim > c.HeadDim || c.RotaryDim%2 != 0 {
		f.fail("partial_rotary_factor", "%v of a head of %d is no even number from 2 to that", partial, c.HeadDim)
	}
}

func (c *Config) scaling(f *fields, q Quirks, outer int) {
	kind := f.text("rope_type", f.text("type", "default"))
	if q.ModelType == "phi3" && (kind == "su" || kind == "yarn") { // what its first files call longrope
		kind = "longrope"
	}
	switch kind {
	case "default":
		return
	case "linear", "llama3", "yarn", "longrope":
	default:
		f.fail("rope_type", "%.80q is not supported; supported: default, linear, llama3, yarn, longrope", kind)
		return
	}
	c.Rope.Type = kind
	if kind != "linear" {
		inner := f.optional("original_max_position_embeddings", c.MaxPositions, 1, maxPositions)
		if c.Rope.OriginalPositions = inner; outer != 0 {
			c.Rope.OriginalPositions = outer // as transformers has it
		}
	}
	if kind == "longrope" {
		c.longrope(f)
		return
	}
	c.factor(f)
	switch kind {
	case "llama3":
		c.llama3(f)
	case "yarn":
		c.yarn(f)
	}
}

// factor reads the scaling factor. Only yarn may leave it null.
func (c *Config) factor(f *fields) {
	if v := f.get("factor"); v == nil {
		f.fail("factor", "missing, and %s scaling needs it", c.Rope.Type)
		return
	} else if v.Kind == strictjson.Null && c.Rope.Type != "yarn" {
		f.fail("factor", "null where a number belongs")
		return
	}
	byDefault := 1.0
	if c.Rope.Type == "yarn" {
		byDefault = float64(c.MaxPositions) / float64(c.Rope.OriginalPositions)
	}
	if c.Rope.Factor = f.positive("factor", byDefault); f.err == nil && c.Rope.Factor < 1 {
		c.warnf("%s: %sfactor is %v; a factor below 1 shortens the context", f.file, f.path, c.Rope.Factor)
	}
}

func (c *Config) llama3(f *fields) {
	for _, name := range []string{"low_freq_factor", "high_freq_factor"} {
		if f.some(name) == nil {
			f.fail(name, "missing, and llama3 scaling needs it")
		}
	}
	c.Rope.LowFreqFactor = f.positive("low_freq_factor", 1)
	c.Rope.HighFreqFactor = f.positive("high_freq_factor", 4)
	if f.err == nil && c.Rope.HighFreqFactor <= c.Rope.LowFreqFactor {
		f.fail("high_freq_factor", "%v is not above low_freq_factor, %v", c.Rope.HighFreqFactor, c.Rope.LowFreqFactor)
	}
}

func (c *Config) yarn(f *fields) {
	if c.RopeTheta <= 1 {
		f.fail("rope_theta", "%v is not above 1, which yarn needs", c.RopeTheta)
	}
	c.Rope.BetaFast = f.zeroOr("beta_fast", 32)
	c.Rope.BetaSlow = f.zeroOr("beta_slow", 1)
	c.Rope.Truncate = f.boolean("truncate", true)
	mscale, allDim := f.zeroOr("mscale", 0), f.zeroOr("mscale_all_dim", 0)
	byDefault := yarnMscale(c.Rope.Factor, 1)
	if mscale != 0 && allDim != 0 {
		byDefault = yarnMscale(c.Rope.Factor, mscale) / yarnMscale(c.Rope.Factor, allDim)
	}
	c.Rope.AttentionFactor = f.positive("attention_factor", byDefault)
	if f.err == nil && c.Rope.BetaFast < c.Rope.BetaSlow {
		f.fail("beta_fast", "%v is below beta_slow, %v", c.Rope.BetaFast, c.Rope.BetaSlow)
	}
}

// zeroOr reads a number from 0 up, 0 being another way to ask for the default.
func (f *fields) zeroOr(name string, byDefault float64) float64 {
	v := f.some(name)
	if v == nil {
		return byDefault
	}
	if x := f.number(name, v); x == 0 {
		return byDefault
	} else if f.err == nil && x < 0 {
		f.fail(name, "%v is negative", x)
	}
	return f.positive(name, byDefault)
}

// yarnMscale is the factor of YaRN's attention temperature (arXiv 2309.00071,
// equation 22), 1 where the context did not grow.
func yarnMscale(scale, weight float64) float64 {
	if scale <= 1 {
		return 1
	}
	return 0.1*weight*math.Log(scale) + 1
}
