package llama

import (
	"math"

	"llorch/inference/weights/strictjson"
)

// longrope reads LongRoPE (arXiv 2402.13753): a factor for the period of each
// pair, one list for contexts of the first training and one for longer ones. The
// attention factor is the paper's where the file has none.
func (c *Config) longrope(f *fields) {
	pairs := c.RotaryDim / 2
	c.Rope.Short, c.Rope.Long = f.factors("short_factor", pairs), f.factors("long_factor", pairs)
	original := float64(c.Rope.OriginalPositions)
	if f.err == nil && original < 2 {
		f.fail("original_max_position_embeddings", "%v is too short for longrope", original)
		return
	}
	c.Rope.Factor = f.positive("factor", float64(c.MaxPositions)/original)
	byDefault := 1.0
	if c.Rope.Factor > 1 {
		byDefault = math.Sqrt(1 + math.Log(c.Rope.Factor)/math.Log(original))
	}
	c.Rope.AttentionFactor = f.positive("attention_factor", byDefault)
}

// factors reads a list of n numbers above zero.
func (f *fields) factors(name string, n int) []float64 {
	v := f.some(name)
	if v == nil {
		f.fail(name, "missing, and longrope scaling needs it")
		return nil
	}
	if v.Kind != strictjson.Array || len(v.Elems) != n {
		f.fail(name, "not a list of %d numbers, one for each pair that is rotated", n)
		return nil
	}
	list := make([]float64, n)
	for i := range v.Elems {
		if list[i] = f.number(name, &v.Elems[i]); f.err == nil && (list[i] < 1e-6 || list[i] > 1e6) {
			f.fail(name, "entry %d, %v, is not from 1e-6 to 1e6", i, list[i])
		}
	}
	return list
}

// scaleLong divides by the factors of the list for a context of so many
// positions. Transformers chooses by the length of each text and recomputes the
// keys of all that went before; keys that lie in a cache cannot be turned again,
// so here the context that the model was loaded for decides, for all texts.
func (r RopeScaling) scaleLong(freq, period []float32, positions int) {
	list := r.Short
	if positions > r.OriginalPositions {
		list = r.Long
	}
	for i := range freq {
		freq[i] = 1 / float32(float32(list[i])*period[i])
	}
}
