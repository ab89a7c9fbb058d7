package llama

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"llorch/inference/tensor"
	"llorch/inference/weights"
)

// ggufFile is a GGUF file of zeros in the making.
type ggufFile struct {
	pairs []weights.Pair
	specs []weights.Spec
}

// tinyGGUF is a model of two layers, 4 heads on 2, width 64, 96 tokens.
func tinyGGUF(t *testing.T) *ggufFile {
	t.Helper()
	c := &Config{
		Architecture: "llama", Hidden: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, RotaryDim: 16, FFN: 96, Vocab: 96, MaxPositions: 512,
		NormEps: 1e-5, RopeTheta: 500000, Rope: RopeScaling{AttentionFactor: 1}, GGUF: true,
	}
	pairs, err := c.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	g := &ggufFile{pairs: pairs}
	for _, n := range c.needs() {
		g.specs = append(g.specs, weights.Spec{Name: n.name, Type: tensor.F32, Shape: n.shape})
	}
	g.set("tokenizer.ggml.bos_token_id", uint32(1))
	g.set("tokenizer.ggml.eos_token_id", uint32(2))
	return g
}

// set gives a key a value, of any type; nil takes it away.
func (g *ggufFile) set(key string, value any) {
	i := slices.IndexFunc(g.pairs, func(p weights.Pair) bool { return p.Key == key })
	switch {
	case value == nil && i >= 0:
		g.pairs = slices.Delete(g.pairs, i, i+1)
	case i >= 0:
		g.pairs[i].Value = value
	case value != nil:
		g.pairs = append(g.pairs, weights.Pair{Key: key, Value: value})
	}
}

func (g *ggufFile) add(name string, d tensor.DType, shape ...int) {
	g.specs = append(g.specs, weights.Spec{Name: name, Type: d, Shape: shape})
}

func (g *ggufFile) drop(name string) {
	g.specs = slices.DeleteFunc(g.specs, func(s weights.Spec) bool { return s.Name == name })
}

// open writes the file, every tensor full of fill, and opens it.
func (g *ggufFile) open(t *testing.T, fill float32) *weights.Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	err = weights.WriteGGUF(f, g.pairs, g.specs, func(i int, w io.Writer) error {
		s := g.specs[i]
		n := 1
		for _, d := range s.Shape {
			n *= d
		}
		row := make([]byte, s.Type.RowBytes(n))
		s.Type.Encode(row, slices.Repeat([]float32{fill}, n))
		_, err := w.Write(row)
		return err
	})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	s, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// read parses and checks.
func (g *ggufFile) read(t *testing.T, q Quirks) (*Config, error) {
	t.Helper()
	s := g.open(t, 1)
	c, err := ParseGGUF(s, q)
	if err == nil {
		err = c.Check(s)
	}
	return c, err
}

func TestGGUFConfig(t *testing.T) {
	g := tinyGGUF(t)
	got, err := g.read(t, Family)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File: got.File, Architecture: "llama", Hidden: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, RotaryDim: 16, FFN: 96, Vocab: 96, MaxPositions: 512,
		NormEps: 1e-5, RopeTheta: 500000, Rope: RopeScaling{AttentionFactor: 1}, GGUF: true, Interleaved: true, BOS: 1, EOS: []int32{2},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestGGUFAccepted: other ways to say the same, and what files leave out.
func TestGGUFAccepted(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(g *ggufFile)
		check  func(c *Config) bool
	}{
		{"numbers of other widths", func(g *ggufFile) { g.set("llama.block_count", uint64(2)); g.set("llama.embedding_length", int32(64)) }, func(c *Config) bool { return c.Layers == 2 }},
		{"a number for each layer", func(g *ggufFile) { g.set("llama.attention.head_count_kv", []uint32{2, 2}) }, func(c *Config) bool { return c.KVHeads == 2 }},
		{"no head_count_kv: as many as heads", func(g *ggufFile) {
			g.set("llama.attention.head_count_kv", nil)
			for i := range 2 {
				for _, n := range []string{ggufLayout.layer(i).K, ggufLayout.layer(i).V} {
					g.drop(n + ".weight")
					g.add(n+".weight", tensor.F32, 64, 64)
				}
			}
		}, func(c *Config) bool { return c.KVHeads == 4 }},
		{"no key_length", func(g *ggufFile) {
			g.set("llama.attention.key_length", nil)
			g.set("llama.attention.value_length", nil)
		}, func(c *Config) bool { return c.HeadDim == 16 }},
		{"no dimension_count, freq_base, vocab_size", func(g *ggufFile) {
			g.set("llama.rope.dimension_count", nil)
			g.set("llama.rope.freq_base", nil)
			g.set("llama.vocab_size", nil)
		}, func(c *Config) bool { return c.RotaryDim == 16 && c.RopeTheta == 10000 && c.Vocab == 96 }},
		{"tied head", func(g *ggufFile) { g.drop("output.weight") }, func(c *Config) bool { return c.TiedEmbeddings }},
		{"biases of q, k, v", func(g *ggufFile) {
			for i := range 2 {
				n := ggufLayout.layer(i)
				g.add(n.Q+".bias", tensor.F32, 64)
				g.add(n.K+".bias", tensor.F32, 32)
				g.add(n.V+".bias", tensor.F32, 32)
			}
		}, func(c *Config) bool { return c.QKVBias && !c.OutputBias }},
		{"quantised matrices", func(g *ggufFile) { g.drop("output.weight"); g.add("output.weight", tensor.Q4_0, 96, 64) }, func(c *Config) bool { return !c.TiedEmbeddings }},
		{"linear scaling", func(g *ggufFile) {
			g.set("llama.rope.scaling.type", "linear")
			g.set("llama.rope.scaling.factor", float32(4))
		}, func(c *Config) bool { return c.Rope.Type == "linear" && c.Rope.Factor == 4 }},
		{"linear scaling as old files say it", func(g *ggufFile) { g.set("llama.rope.scale_linear", float32(4)) }, func(c *Config) bool { return c.Rope.Type == "linear" && c.Rope.Factor == 4 }},
		{"scaling none", func(g *ggufFile) { g.set("llama.rope.scaling.type", "none") }, func(c *Config) bool { return c.Rope.Type == "" }},
		{"yarn", func(g *ggufFile) {
			g.set("llama.rope.scaling.type", "yarn")
			g.set("llama.rope.scaling.factor", float32(4))
			g.set("llama.rope.scaling.original_context_length", uint32(128))
		}, func(c *Config) bool {
			return reflect.DeepEqual(c.Rope, RopeScaling{Type: "yarn", Factor: 4, OriginalPositions: 128, BetaFast: 32, BetaSlow: 1, Truncate: true, AttentionFactor: yarnMscale(4, 1)})
		}},
		{"factors", func(g *ggufFile) { g.add(freqFactors, tensor.F32, 8) }, func(c *Config) bool { return c.Rope.Type == "factors" && len(c.Rope.Long) == 8 }},
		{"window", func(g *ggufFile) { g.set("llama.attention.sliding_window", uint32(16)) }, func(c *Config) bool { return slices.Equal(c.Windows, []int{16, 16}) }},
		{"window of some layers", func(g *ggufFile) {
			g.set("llama.attention.sliding_window", uint32(16))
			g.set("llama.attention.sliding_window_pattern", []bool{false, true})
		}, func(c *Config) bool { return slices.Equal(c.Windows, []int{0, 16}) }},
		{"three ends", func(g *ggufFile) {
			g.set("tokenizer.ggml.eot_token_id", uint32(5))
			g.set("tokenizer.ggml.eom_token_id", uint32(2))
			g.set("tokenizer.ggml.tokens", []string{"a", "<|im_end|>", "c", "<|eot_id|>", "<|end|>"})
			g.set("tokenizer.ggml.token_type", []int32{1, 3, 3, 3, 1}) // the last is text that looks like one
		}, func(c *Config) bool { return slices.Equal(c.EOS, []int32{2, 5, 1, 3}) }},
		{"no ends", func(g *ggufFile) {
			g.set("tokenizer.ggml.eos_token_id", nil)
			g.set("tokenizer.ggml.bos_token_id", nil)
		}, func(c *Config) bool { return len(c.EOS) == 0 && c.BOS == -1 && len(c.Warnings) == 1 }},
		{"an end beyond the vocabulary", func(g *ggufFile) { g.set("tokenizer.ggml.eos_token_id", uint32(96)) }, func(c *Config) bool { return len(c.EOS) == 0 && len(c.Warnings) == 2 }},
		{"scales of 0", func(g *ggufFile) {
			g.set("llama.attention.clamp_kqv", float32(0))
			g.set("llama.logit_scale", float32(1))
		}, func(*Config) bool { return true }},
	} {
		g := tinyGGUF(t)
		c.change(g)
		if got, err := g.read(t, Family); err != nil || !c.check(got) {
			t.Errorf("%s: %+v %v", c.name, got, err)
		}
	}
}

func TestGGUFConfigRefused(t *testing.T) {
	set := func(key string, v any) func(*ggufFile) { return func(g *ggufFile) { g.set(key, v) } }
	rope := func(kind string) func(*ggufFile) {
		return func(g *ggufFile) {
			g.set("llama.rope.scaling.type", kind)
			g.set("llama.rope.scaling.factor", float32(2))
		}
	}
	for _, c := range []struct {
		about  string // key or tensor
		change func(g *ggufFile)
		reason string
	}{
		{archKey, set(archKey, "gpt-oss"), `"gpt-oss" is not supported; supported: llama`},
		{archKey, set(archKey, nil), "missing"},
		{archKey, set(archKey, uint32(1)), "type u32 where a string"},
		{typeKey, set(typeKey, "adapter"), "cannot be served alone"},
		{"llama.block_count", set("llama.block_count", nil), "missing"},
		{"llama.block_count", set("llama.block_count", uint32(0)), "0 is not from 1"},
		{"llama.block_count", set("llama.block_count", float32(2)), "type f32 where an integer"},
		{"llama.block_count", set("llama.block_count", "2"), "type string where an integer"},
		{"llama.block_count", set("llama.block_count", int32(-2)), "-2 is not from 1"},
		{"llama.block_count", set("llama.block_count", []uint32{2}), "an array of 1 u32 where an integer"},
		{"llama.block_count", set("llama.block_count", uint64(1<<63)), "is more than"},
		{"blk.2.attn_norm.weight", set("llama.block_count", uint32(3)), "missing; the metadata mean one of shape [64]"},
		{"blk.1.attn_k.weight", set("llama.block_count", uint32(1)), "a tensor of layer 1, and block_count is 1"},
		{"llama.embedding_length", set("llama.embedding_length", uint32(0)), "0 is not from 1"},
		{"token_embd.weight", set("llama.embedding_length", uint32(32)), "shape [96 64], and the metadata mean [96 32]"},
		{"llama.embedding_length", func(g *ggufFile) {
			g.set("llama.embedding_length", uint32(66))
			g.set("llama.attention.key_length", nil)
		}, "66 is not a multiple of the 4"},
		{"llama.context_length", set("llama.context_length", uint32(0)), "0 is not from 1"},
		{"llama.context_length", set("llama.context_length", uint32(1<<31)), "2147483648 is not from 1"},
		{"llama.feed_forward_length", set("llama.feed_forward_length", nil), "missing"},
		{"llama.feed_forward_length", set("llama.feed_forward_length", []uint32{96, 64}), "96 in the first layer and 64 in layer 1"},
		{"llama.attention.head_count", set("llama.attention.head_count", uint32(0)), "0 is not from 1"},
		{"llama.attention.head_count", set("llama.attention.head_count", []uint32{4}), "1 numbers for the 2 layers"},
		{"llama.attention.head_count", set("llama.attention.head_count", []uint32{0, 0}), "0 in layer 0 is not from 1"},
		{"llama.attention.head_count", set("llama.attention.head_count", []float32{4, 4}), "where an array of integers"},
		{"llama.attention.head_count_kv", set("llama.attention.head_count_kv", uint32(3)), "3 does not divide the 4"},
		{"llama.attention.head_count_kv", set("llama.attention.head_count_kv", uint32(8)), "8 is more than the 4"},
		{"llama.attention.head_count_kv", set("llama.attention.head_count_kv", uint32(0)), "0 is not from 1"},
		{"llama.attention.head_count_kv", set("llama.attention.head_count_kv", []int32{2, 4}), "2 in the first layer and 4 in layer 1"},
		{"llama.attention.key_length", func(g *ggufFile) {
			g.set("llama.attention.key_length", uint32(15))
			g.set("llama.attention.value_length", uint32(15))
		}, "heads of 15; rotary positions turn pairs"},
		{"llama.attention.value_length", set("llama.attention.value_length", uint32(8)), "8, and keys have 16"},
		{"llama.attention.layer_norm_rms_epsilon", set("llama.attention.layer_norm_rms_epsilon", nil), "missing"},
		{"llama.attention.layer_norm_rms_epsilon", set("llama.attention.layer_norm_rms_epsilon", float32(0)), "0 is not from 1e-30"},
		{"llama.attention.layer_norm_rms_epsilon", set("llama.attention.layer_norm_rms_epsilon", uint32(1)), "type u32 where a floating-point"},
		{"llama.vocab_size", set("llama.vocab_size", uint32(95)), "95, and token_embd.weight has 96 rows"},
		{"llama.rope.dimension_count", set("llama.rope.dimension_count", uint32(7)), "7 is odd"},
		{"llama.rope.dimension_count", set("llama.rope.dimension_count", uint32(8)), "8 of heads of 16"},
		{"llama.rope.dimension_count", set("llama.rope.dimension_count", uint32(0)), "0 is not from 2"},
		{"llama.rope.dimension_count", set("llama.rope.dimension_count", uint32(32)), "32 is not from 2 to 16"},
		{"llama.rope.freq_base", set("llama.rope.freq_base", float32(0)), "0 is not from"},
		{"llama.rope.freq_base", set("llama.rope.freq_base", float32(-1)), "-1 is not from"},
		{"llama.rope.scaling.type", rope("dynamic"), `"dynamic" is not supported; supported: none, linear, yarn, longrope`},
		{"llama.rope.scaling.type", func(g *ggufFile) { rope("linear")(g); g.add(freqFactors, tensor.F32, 8) }, "beside rope_freqs.weight"},
		{"llama.rope.scaling.factor", set("llama.rope.scaling.factor", float32(0)), "0 is not from"},
		{"llama.rope.scaling.factor", set("llama.rope.scaling.type", "yarn"), "missing, and yarn"},
		{longFactors, rope("longrope"), "missing, and rope.scaling.type needs it"},
		{freqFactors, func(g *ggufFile) { g.add(freqFactors, tensor.F32, 7) }, "one number for each pair"},
		{freqFactors, func(g *ggufFile) { g.add(freqFactors, tensor.Q8_0, 32) }, "one number for each pair"},
		{"llama.expert_count", set("llama.expert_count", uint32(8)), "mixtures of experts"},
		{"llama.logit_scale", set("llama.logit_scale", float32(0.5)), "0.5 is not supported"},
		{"llama.final_logit_softcapping", set("llama.final_logit_softcapping", float32(30)), "30 is not supported"},
		{"llama.attention.causal", set("llama.attention.causal", false), "does not generate text"},
		{"llama.attention.sliding_window_pattern", func(g *ggufFile) {
			g.set("llama.attention.sliding_window", uint32(16))
			g.set("llama.attention.sliding_window_pattern", []bool{true})
		}, "1 entries for the 2 layers"},
		{"tokenizer.ggml.bos_token_id", set("tokenizer.ggml.bos_token_id", uint32(96)), "96 is not below the 96 rows"},
		{"tokenizer.ggml.eos_token_id", set("tokenizer.ggml.eos_token_id", "2"), "type string where an integer"},
		{"tokenizer.ggml.eos_token_id", set("tokenizer.ggml.eos_token_id", int32(-1)), "-1 is not from 0"},
		{"token_embd.weight", func(g *ggufFile) { g.drop("token_embd.weight") }, "the file holds no model"},
		{"token_embd.weight", func(g *ggufFile) { g.drop("token_embd.weight"); g.add("token_embd.weight", tensor.F32, 96*64) }, "no matrix"},
		{"output_norm.weight", func(g *ggufFile) { g.drop("output_norm.weight") }, "missing"},
		{"output_norm.weight", func(g *ggufFile) { g.drop("output_norm.weight"); g.add("output_norm.weight", tensor.Q8_0, 64) }, "in blocks, and norms and biases"},
		{"blk.1.attn_q.bias", func(g *ggufFile) { g.add("blk.1.attn_q.bias", tensor.F32, 64) }, "ignoring it would change every answer"},
		{"blk.0.attn_q_norm.weight", func(g *ggufFile) { g.add("blk.0.attn_q_norm.weight", tensor.F32, 16) }, "ignoring it would change"},
		{"output.bias", func(g *ggufFile) { g.add("output.bias", tensor.F32, 96) }, "ignoring it would change every answer"},
	} {
		g := tinyGGUF(t)
		c.change(g)
		_, err := g.read(t, Family)
		var e *weights.Error
		if !errors.As(err, &e) || e.Key+e.Tensor != c.about || !strings.Contains(e.Reason, c.reason) || !strings.HasSuffix(e.File, "m.gguf") {
			t.Errorf("%s: %v, want %s", c.about, err, c.reason)
		}
	}
}

// TestGGUFFactorsRefused: a factor divides an angle.
func TestGGUFFactorsRefused(t *testing.T) {
	for _, fill := range []float32{0, -1, 1e9} {
		g := tinyGGUF(t)
		g.add(freqFactors, tensor.F32, 8)
		if _, err := ParseGGUF(g.open(t, fill), Family); err == nil || !strings.Contains(err.Error(), "a factor is not from") {
			t.Errorf("factors of %v: %v", fill, err)
		}
	}
}

// TestGGUFHalves: of the families here only llama has its heads reordered.
func TestGGUFHalves(t *testing.T) {
	g := tinyGGUF(t)
	for i := range g.pairs {
		g.pairs[i].Key = strings.Replace(g.pairs[i].Key, "llama.", "other.", 1)
	}
	g.set(archKey, "other")
	g.set("other.attention.sliding_window", uint32(16))
	got, err := g.read(t, Quirks{ModelType: "other", Window: ByLayer})
	if err != nil || got.Interleaved || got.Windows != nil || len(got.Warnings) != 1 {
		t.Errorf("%+v %v", got, err)
	}
}
