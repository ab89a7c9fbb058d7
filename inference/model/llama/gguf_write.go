package llama

import (
	"fmt"

	"llorch/inference/weights"
)

// Export is a tensor of a GGUF file to be written, and where its values are.
type Export struct {
	Name   string // in the GGUF file
	Source string // in the SafeTensors files, "" where Values are the values
	Values []float32
	Role   Role
	Layer  int // of a tensor in a layer
	// HeadDim, if not 0, says that rows are to be reordered within each head of so
	// many: row 2j+s comes from row s·HeadDim/2+j, so that the pairs that are
	// rotated together become neighbours.
	HeadDim int
}

// Role tells the tensors of a model apart that are quantised differently.
type Role uint8

const (
	Vector    Role = iota // norms, biases, factors: kept in F32
	Matrix                // any other
	Embedding             // the table of a model with a head of its own
	Head                  // the head, or the table of a model without
	Value                 // attn_v
	Down                  // ffn_down
)

// Exports lists the tensors of a GGUF file of the model, whose files are in the
// HF layout.
func (c *Config) Exports() []Export {
	hf, gguf := &hfLayout, &ggufLayout
	role := Embedding
	if c.TiedEmbeddings {
		role = Head
	}
	list := c.ropeExports()
	list = append(list, Export{Name: gguf.embed, Source: hf.embed, Role: role})
	for i := range c.Layers {
		list = append(list, c.layerExports(i, hf.layer(i), gguf.layer(i))...)
	}
	list = append(list, Export{Name: gguf.norm, Source: hf.norm})
	if !c.TiedEmbeddings {
		list = append(list, Export{Name: gguf.head + ".weight", Source: hf.head + ".weight", Role: Head})
	}
	return list
}

func (c *Config) layerExports(i int, from, to layerTensors) []Export {
	list := []Export{{Name: to.AttnNorm, Source: from.AttnNorm, Layer: i}, {Name: to.FFNNorm, Source: from.FFNNorm, Layer: i}}
	if c.QKNorm {
		list = append(list, Export{Name: to.QNorm, Source: from.QNorm, Layer: i}, Export{Name: to.KNorm, Source: from.KNorm, Layer: i})
	}
	wanted := c.projections(to)
	for n, p := range c.projections(from) {
		e := Export{Name: wanted[n].name + ".weight", Source: p.name + ".weight", Role: Matrix, Layer: i}
		switch p.name {
		case from.V:
			e.Role = Value
		case from.Down:
			e.Role = Down
		case from.Q, from.K:
			if c.ggufArchitecture() == Family.ModelType {
				e.HeadDim = c.HeadDim
			}
		}
		list = append(list, e)
		if p.withBias {
			e.Name, e.Source, e.Role = wanted[n].name+".bias", p.name+".bias", Vector
			list = append(list, e)
		}
	}
	return list
}

// ropeExports are the factors that stand for a scaling in GGUF files.
func (c *Config) ropeExports() []Export {
	floats := func(list []float64) []float32 {
		out := make([]float32, len(list))
		for i, x := range list {
			out[i] = float32(x)
		}
		return out
	}
	switch c.Rope.Type {
	case "llama3":
		plain := *c
		plain.Rope = RopeScaling{AttentionFactor: 1}
		factors, scaled := plain.InvFreq(c.MaxPositions), c.InvFreq(c.MaxPositions)
		for i := range factors {
			factors[i] /= scaled[i]
		}
		return []Export{{Name: freqFactors, Values: factors}}
	case "longrope":
		return []Export{{Name: longFactors, Values: floats(c.Rope.Long)}, {Name: shortFactors, Values: floats(c.Rope.Short)}}
	}
	return nil
}

// ggufArchitecture is what a GGUF file calls the family.
func (c *Config) ggufArchitecture() string {
	if c.Architecture == "mistral" {
		return Family.ModelType
	}
	return c.Architecture
}

// Metadata returns what a GGUF file says of the model, but for the vocabulary. The
// error is about a model that GGUF has no words for.
func (c *Config) Metadata() ([]weights.Pair, error) {
	arch := c.ggufArchitecture()
	pairs := []weights.Pair{{Key: archKey, Value: arch}, {Key: typeKey, Value: "model"}}
	add := func(key string, v any) { pairs = append(pairs, weights.Pair{Key: arch + "." + key, Value: v}) }
	number := func(key string, n int) { add(key, uint32(n)) }
	number("vocab_size", c.Vocab)
	number("context_length", c.MaxPositions)
	number("embedding_length", c.Hidden)
	number("block_count", c.Layers)
	number("feed_forward_length", c.FFN)
	number("attention.head_count", c.Heads)
	number("attention.head_count_kv", c.KVHeads)
	number("attention.key_length", c.HeadDim)
	number("attention.value_length", c.HeadDim)
	add("attention.layer_norm_rms_epsilon", c.NormEps)
	number("rope.dimension_count", c.RotaryDim)
	add("rope.freq_base", float32(c.RopeTheta))
	if err := c.addScaling(add, number); err != nil {
		return nil, err
	}
	return append(pairs, c.windowPairs(arch)...), c.endsFit()
}

// addScaling adds the keys of the scaling.
func (c *Config) addScaling(add func(string, any), number func(string, int)) error {
	r := c.Rope
	switch r.Type {
	case "", "llama3":
		return nil
	case "linear":
		add("rope.scaling.type", "linear")
		add("rope.scaling.factor", float32(r.Factor))
	case "yarn":
		if !r.Truncate {
			return fmt.Errorf("llama: %s: GGUF has no key for a yarn scaling whose bounds are not rounded (truncate)", c.File)
		}
		add("rope.scaling.type", "yarn")
		add("rope.scaling.factor", float32(r.Factor))
		number("rope.scaling.original_context_length", r.OriginalPositions)
		add("rope.scaling.attn_factor", float32(r.AttentionFactor/yarnMscale(r.Factor, 1)))
		add("rope.scaling.yarn_beta_fast", float32(r.BetaFast))
		add("rope.scaling.yarn_beta_slow", float32(r.BetaSlow))
	case "longrope":
		add("rope.scaling.type", "longrope")
		number("rope.scaling.original_context_length", r.OriginalPositions)
		add("rope.scaling.attn_factor", float32(r.AttentionFactor))
	}
	return nil
}

// windowPairs says which layers see a window only.
func (c *Config) windowPairs(arch string) []weights.Pair {
	window, slides := 0, make([]bool, len(c.Windows))
	for i, w := range c.Windows {
		if slides[i] = w > 0; slides[i] {
			window = w
		}
	}
	if window == 0 {
		return nil
	}
	return []weights.Pair{
		{Key: arch + ".attention.sliding_window", Value: uint32(window)},
		{Key: arch + ".attention.sliding_window_pattern", Value: slides},
	}
}

// maxGGUFEnds is how many tokens that end a text GGUF has keys for.
const maxGGUFEnds = 3

// endsFit: a text that does not end where it should is worse than no file.
func (c *Config) endsFit() error {
	if len(c.EOS) > maxGGUFEnds {
		return fmt.Errorf("llama: %s: %d tokens end a text (eos_token_id); GGUF has keys for %d", c.File, len(c.EOS), maxGGUFEnds)
	}
	return nil
}
