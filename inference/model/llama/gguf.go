package llama

import (
	"fmt"
	"slices"
	"strings"

	"llorch/inference/weights"
)

const (
	archKey = "general.architecture"
	typeKey = "general.type"
)

// GGUFArchitecture returns what a GGUF file says its model's family is. The error
// is a *weights.Error.
func GGUFArchitecture(s *weights.Source) (string, error) {
	if s.Meta.Has(typeKey) {
		if kind, err := s.Meta.Text(typeKey); err != nil {
			return "", err
		} else if kind != "model" {
			return "", s.Meta.Fail(typeKey, "%.80q, and not a model: it cannot be served alone", kind)
		}
	}
	return s.Meta.Text(archKey)
}

// UnknownGGUF is the error for a family that no reader here knows.
func UnknownGGUF(s *weights.Source, name string, known []string) error {
	return s.Meta.Fail(archKey, "%.80q is not supported; supported: %s", name, strings.Join(known, ", "))
}

// ParseGGUF reads the metadata of a GGUF file. The config is the one that the
// model's config.json would give, but for the names of the tensors and for what
// converters change: Llama's heads, whose pairs to be rotated become neighbours,
// and the llama3 scaling, which becomes a list of factors. Errors are
// *weights.Error. s must stay open until Check has run.
func ParseGGUF(s *weights.Source, q Quirks) (*Config, error) {
	arch, err := GGUFArchitecture(s)
	if err != nil {
		return nil, err
	}
	if arch != q.ModelType {
		return nil, UnknownGGUF(s, arch, []string{q.ModelType})
	}
	k := &keys{m: s.Meta, arch: arch}
	c := &Config{File: s.Files[0].Path, Architecture: arch, GGUF: true, QKNorm: q.QKNorm, Fused: q.Fused}
	c.Interleaved = arch == Family.ModelType // a fact of the container, not of the family
	c.ggufSizes(k, s)
	k.refuse()
	if k.err == nil {
		c.ggufBiases(s, q)
		c.ggufRope(k, s, q)
		c.ggufWindows(k, q.Window)
		c.ggufTokens(k)
	}
	if k.err != nil {
		return nil, k.err
	}
	c.dropUnknownEOS()
	return c, nil
}

func (c *Config) ggufSizes(k *keys, s *weights.Source) {
	c.Hidden = k.required("embedding_length", maxWidth)
	c.Layers = k.required("block_count", maxLayers)
	c.MaxPositions = k.required("context_length", maxPositions)
	c.NormEps = float32(k.positive("attention.layer_norm_rms_epsilon", defaultNormEps))
	if !k.has("attention.layer_norm_rms_epsilon") {
		k.fail("attention.layer_norm_rms_epsilon", "missing; the file does not say what the model is like")
	}
	for _, key := range []string{"feed_forward_length", "attention.head_count"} {
		if !k.has(key) {
			k.fail(key, "missing; the file does not say what the model is like")
		}
	}
	c.FFN = k.everyLayer("feed_forward_length", 1, c.Layers, maxWidth)
	c.Heads = k.everyLayer("attention.head_count", 1, c.Layers, maxWidth)
	c.KVHeads = k.everyLayer("attention.head_count_kv", c.Heads, c.Layers, maxWidth)
	if k.err != nil {
		return
	}
	if c.KVHeads > c.Heads {
		k.fail("attention.head_count_kv", "%d is more than the %d of attention.head_count", c.KVHeads, c.Heads)
	} else if c.Heads%c.KVHeads != 0 {
		k.fail("attention.head_count_kv", "%d does not divide the %d of attention.head_count", c.KVHeads, c.Heads)
	}
	c.ggufHeadDim(k)
	c.ggufVocab(k, s)
}

func (c *Config) ggufHeadDim(k *keys) {
	if c.HeadDim = c.Hidden / c.Heads; c.Hidden%c.Heads != 0 && !k.has("attention.key_length") {
		k.fail("embedding_length", "%d is not a multiple of the %d of attention.head_count, and there is no attention.key_length", c.Hidden, c.Heads)
		return
	}
	c.HeadDim = k.integer("attention.key_length", c.HeadDim, 1, maxWidth)
	if v := k.integer("attention.value_length", c.HeadDim, 1, maxWidth); k.err == nil && v != c.HeadDim {
		k.fail("attention.value_length", "%d, and keys have %d: heads whose keys and values differ are not supported", v, c.HeadDim)
	}
	if c.HeadDim%2 != 0 {
		k.fail("attention.key_length", "heads of %d; rotary positions turn pairs", c.HeadDim)
	}
	if c.HeadDim > maxWidth/c.Heads {
		k.fail("attention.key_length", "%d times %d heads is more than %d", c.HeadDim, c.Heads, maxWidth)
	}
}

// ggufVocab takes the size of the vocabulary from the embedding table, which
// converters may have given more rows than there are tokens.
func (c *Config) ggufVocab(k *keys, s *weights.Source) {
	n := ggufLayout.embed
	t, ok := s.Tensor(n)
	if !ok || len(t.Shape) != 2 {
		k.keep(&weights.Error{File: c.File, Tensor: n, Offset: -1, Reason: "missing, or no matrix: the file holds no model (a vocabulary alone, or an adapter?)"})
		return
	}
	c.Vocab = t.Shape[0]
	if c.Vocab > maxVocab {
		k.keep(&weights.Error{File: c.File, Tensor: n, Offset: t.Offset, Reason: fmt.Sprintf("%d rows; a vocabulary has at most %d", c.Vocab, maxVocab)})
	}
	if v := k.integer("vocab_size", c.Vocab, 1, maxVocab); k.err == nil && v != c.Vocab {
		k.fail("vocab_size", "%d, and %s has %d rows", v, n, c.Vocab)
	}
}

// ggufBiases looks which biases there are: the metadata do not say. The first
// layer speaks for all, and Check finds what is missing or over.
func (c *Config) ggufBiases(s *weights.Source, q Quirks) {
	n := ggufLayout.layer(0)
	has := func(sw Switch, names ...string) bool {
		_, ok := s.Tensor(names[0] + ".bias")
		return sw == On || sw == Configured && ok
	}
	c.QKVBias, c.OutputBias = has(q.QKVBias, c.qkv(n)...), has(q.OutputBias, n.O)
	c.MLPBias = has(q.MLPBias, c.gateUp(n)...)
	_, head := s.Tensor(ggufLayout.head + ".weight")
	c.TiedEmbeddings = !head
}

// ggufWindows fills c.Windows. The key attention.sliding_window holds for all
// layers of the families that have it so; for others attention.sliding_window_pattern
// must say which.
func (c *Config) ggufWindows(k *keys, rule WindowRule) {
	window := k.integer("attention.sliding_window", 0, 0, maxPositions)
	pattern := k.name("attention.sliding_window_pattern")
	switch {
	case window == 0 || k.err != nil:
	case k.m.IsArray(pattern):
		slides, err := k.m.Bools(pattern)
		if !k.keep(err) {
			return
		}
		if len(slides) != c.Layers {
			k.fail("attention.sliding_window_pattern", "%d entries for the %d layers of block_count", len(slides), c.Layers)
			return
		}
		c.Windows = make([]int, c.Layers)
		for i, yes := range slides {
			if yes {
				c.Windows[i] = window
			}
		}
	case rule == ByLayer:
		c.warnf("%s: %s is ignored: there is no attention.sliding_window_pattern that says for which layers", c.File, k.name("attention.sliding_window"))
	default:
		c.Windows = slices.Repeat([]int{window}, c.Layers)
	}
}
