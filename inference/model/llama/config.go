package llama

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"llorch/inference/weights/strictjson"
)

// Config is a llama-shaped model as its config.json describes it, defaults
// filled in as transformers does for the family.
type Config struct {
	File           string // config.json, for errors
	Architecture   string // model_type in small letters, else from architectures[0]
	Hidden, Layers int
	Heads, KVHeads int // KVHeads divides Heads
	HeadDim        int // even; Heads·HeadDim need not be Hidden
	RotaryDim      int // even; the elements of a head that are rotated, the first ones; HeadDim for most families
	FFN, Vocab     int
	MaxPositions   int // the context the model was made for
	NormEps        float32
	RopeTheta      float64
	Rope           RopeScaling

	GGUF        bool // the tensors have the names of GGUF files
	Interleaved bool // rotation turns elements 2i and 2i+1 of a head, not i and i + RotaryDim/2

	TiedEmbeddings bool // no lm_head: the embedding table is the head
	QKVBias        bool
	OutputBias     bool // of o_proj
	MLPBias        bool
	QKNorm         bool  // q and k are normalised per head before rotation
	Fused          bool  // q, k and v are one matrix in the file, gate and up another
	Windows        []int // of each layer: a position sees itself and the window-1 before it; 0 = all; nil = all layers all

	BOS      int32   // -1: none
	EOS      []int32 // any of them ends a text; may be empty
	DType    string  // what the config says of the weights; the weights themselves count
	Warnings []string
}

// Quirks is what tells one llama-shaped family from another: transformers'
// defaults for fields a config.json may leave out, and what the family has.
type Quirks struct {
	ModelType           string
	Hidden, FFN         int
	Layers, Heads       int
	KVHeads             int // 0 = Heads
	HeadDim             int // 0 = Hidden/Heads
	Vocab, MaxPositions int
	BOS                 int32 // -1: none
	EOS                 []int32
	QKVBias, OutputBias Switch // Configured by attention_bias
	MLPBias             Switch // Configured by mlp_bias
	QKNorm              bool
	Fused               bool
	PartialRotary       bool    // partial_rotary_factor is read; other families have none
	NormEps             float64 // 0 = 1e-6
	OriginalPositions   int     // of original_max_position_embeddings; 0 = no such default
	Window              WindowRule
}

// Switch says whether a family has something.
type Switch uint8

// Off: never. On: always. Configured: a field of config.json says.
const (
	Off Switch = iota
	On
	Configured
)

// Family is the quirks of the family this block is named after: the values of
// transformers' LlamaConfig.
var Family = Quirks{
	ModelType: "llama",
	Hidden:    4096, FFN: 11008, Layers: 32, Heads: 32,
	Vocab: 32000, MaxPositions: 2048,
	BOS: 1, EOS: []int32{2},
	QKVBias: Configured, OutputBias: Configured, MLPBias: Configured,
}

// Defaults that all four families share in transformers.
const (
	defaultNormEps = 1e-6
	defaultTheta   = 10_000.0
)

// Bounds far above any real model, so that no product of two sizes overflows
// and no table made from them is large.
const (
	maxWidth     = 1 << 20 // hidden, FFN, heads, head dimension
	maxLayers    = 1 << 12
	maxVocab     = 1 << 24
	maxPositions = 1<<31 - 1
)

// Architecture returns the family of a config.json: model_type in small
// letters, or where that is missing architectures[0] without ForCausalLM. The
// error is a *ConfigError.
func Architecture(file string, config []byte) (string, error) {
	f, err := parseObject(file, config)
	if err != nil {
		return "", err
	}
	return f.architecture(), f.done()
}

func (f *fields) architecture() string {
	if name := strings.ToLower(f.text("model_type", "")); name != "" || f.err != nil {
		return name
	}
	list := f.texts("architectures", 16)
	if f.err == nil && len(list) == 0 {
		f.fail("model_type", "missing, and architectures too: is this the config.json of a model?")
		return ""
	}
	if f.err != nil {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(list[0], "ForCausalLM"))
}

// ParseConfig reads config.json and generation_config.json, which is nil where
// the model has none and lies beside file otherwise. Errors are *ConfigError.
func ParseConfig(file string, config, generation []byte, q Quirks) (*Config, error) {
	f, err := parseObject(file, config)
	if err != nil {
		return nil, err
	}
	c := &Config{File: file, Architecture: f.architecture()}
	if f.err == nil && c.Architecture != q.ModelType {
		return nil, UnknownArchitecture(file, c.Architecture, []string{q.ModelType})
	}
	c.sizes(f, q)
	c.switches(f, q)
	c.refuse(f)
	if f.err == nil {
		c.rope(f, q)
		c.windows(f, q.Window)
		c.tokens(f, q)
	}
	if err := f.done(); err != nil {
		return nil, err
	}
	if generation != nil {
		err = c.generation(filepath.Join(filepath.Dir(file), "generation_config.json"), generation)
	}
	if err != nil {
		return nil, err
	}
	c.dropUnknownEOS()
	return c, nil
}

func (c *Config) sizes(f *fields, q Quirks) {
	c.Hidden = f.integer("hidden_size", q.Hidden, 1, maxWidth)
	c.Layers = f.integer("num_hidden_layers", q.Layers, 1, maxLayers)
	c.FFN = f.integer("intermediate_size", q.FFN, 1, maxWidth)
	c.Vocab = f.integer("vocab_size", q.Vocab, 1, maxVocab)
	c.MaxPositions = f.integer("max_position_embeddings", q.MaxPositions, 1, maxPositions)
	c.NormEps = float32(f.positive("rms_norm_eps", cmp.Or(q.NormEps, defaultNormEps)))
	c.Heads = f.integer("num_attention_heads", q.Heads, 1, maxWidth)
	c.KVHeads = q.KVHeads
	if v := f.get("num_key_value_heads"); v != nil && v.Kind == strictjson.Null || c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	c.KVHeads = f.optional("num_key_value_heads", c.KVHeads, 1, maxWidth)
	if f.err != nil {
		return
	}
	if c.KVHeads > c.Heads {
		f.fail("num_key_value_heads", "%d is more than the %d of num_attention_heads", c.KVHeads, c.Heads)
	} else if c.Heads%c.KVHeads != 0 {
		f.fail("num_key_value_heads", "%d does not divide the %d of num_attention_heads", c.KVHeads, c.Heads)
	}
	c.headDim(f, q)
}

func (c *Config) headDim(f *fields, q Quirks) {
	if c.HeadDim = f.optional("head_dim", q.HeadDim, 1, maxWidth); c.HeadDim == 0 {
		if c.Hidden%c.Heads != 0 {
			f.fail("hidden_size", "%d is not a multiple of the %d of num_attention_heads, and there is no head_dim", c.Hidden, c.Heads)
		}
		c.HeadDim = c.Hidden / c.Heads
	}
	if c.HeadDim%2 != 0 || c.HeadDim == 0 {
		f.fail("head_dim", "%d is odd; rotary positions turn pairs", c.HeadDim)
	}
	if c.HeadDim > maxWidth/c.Heads {
		f.fail("head_dim", "%d times %d heads is more than %d", c.HeadDim, c.Heads, maxWidth)
	}
}

func (c *Config) switches(f *fields, q Quirks) {
	is := func(s Switch, field string) bool {
		return s == On || s == Configured && f.boolean(field, false)
	}
	c.QKVBias, c.OutputBias = is(q.QKVBias, "attention_bias"), is(q.OutputBias, "attention_bias")
	c.MLPBias = is(q.MLPBias, "mlp_bias")
	c.QKNorm, c.Fused = q.QKNorm, q.Fused
	c.TiedEmbeddings = f.boolean("tie_word_embeddings", false)
	if c.DType = f.text("dtype", ""); c.DType == "" {
		c.DType = f.text("torch_dtype", "")
	}
	c.DType = strings.TrimPrefix(c.DType, "torch.")
	if f.get("auto_map") != nil {
		c.warnf("%s: auto_map is ignored: no code of a model folder is run", f.file)
	}
	list := f.texts("architectures", 16)
	if f.err == nil && len(list) > 0 && !strings.HasSuffix(list[0], "ForCausalLM") {
		c.warnf("%s: architectures names %.80q, which is no text generator", f.file, list[0])
	}
}

// refuse looks for fields that would change the arithmetic in a way this
// forward pass does not know. Answering without them would look like answering.
func (c *Config) refuse(f *fields) {
	if act := f.text("hidden_act", "silu"); act != "silu" && act != "swish" {
		f.fail("hidden_act", "%.80q is not supported; only silu is", act)
	}
	for _, name := range []string{"quantization_config", "attn_logit_softcapping", "final_logit_softcapping", "clip_qkv", "attention_chunk_size", "no_rope_layers"} {
		if v := f.some(name); v != nil {
			f.fail(name, "not supported%s", map[bool]string{true: "; give the model in f32, f16 or bf16"}[name == "quantization_config"])
		}
	}
	for _, name := range []string{"use_mrope", "use_qk_norm", "is_encoder_decoder", "alibi"} {
		if f.boolean(name, false) {
			f.fail(name, "true is not supported by the %s family", c.Architecture)
		}
	}
	for _, name := range []string{"embedding_multiplier", "residual_multiplier", "logits_scaling", "logit_scale"} {
		if x := f.positive(name, 1); f.err == nil && x != 1 {
			f.fail(name, "%v is not supported; only 1 is", x)
		}
	}
}

func (c *Config) warnf(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}
