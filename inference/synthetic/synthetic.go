// Package synthetic writes models of real shapes with random weights, in the HF
// layout or as GGUF files.
// Speed does not depend on the values, so a benchmark needs no download; the
// text that such a model makes means nothing.
package synthetic

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"llorch/inference/tensor"
	"llorch/inference/weights"
)

// Shape is a llama shape.
type Shape struct {
	Name                                                           string
	Hidden, FFN, Layers, Heads, KVHeads, HeadDim, Vocab, Positions int
}

// Shapes are those of published models.
var Shapes = []Shape{
	{"stories15m", 288, 768, 6, 6, 6, 48, 32000, 1024},
	{"tinyllama", 2048, 5632, 22, 32, 4, 64, 32000, 2048},
	{"llama2-7b", 4096, 11008, 32, 32, 32, 128, 32000, 4096},
	{"llama3-8b", 4096, 14336, 32, 32, 8, 128, 128256, 8192},
}

// ShapeByName returns the shape of that name.
func ShapeByName(name string) (Shape, error) {
	var names []string
	for _, s := range Shapes {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Shape{}, fmt.Errorf("synthetic: no shape %q; there are %s", name, strings.Join(names, ", "))
}

// MatrixParams returns the weights that every token is multiplied with: those
// of the layers, and of the head.
func (s Shape) MatrixParams() (layers, head int64) {
	q, kv := int64(s.Heads*s.HeadDim), int64(s.KVHeads*s.HeadDim)
	one := int64(s.Hidden) * (2*q + 2*kv + 3*int64(s.FFN))
	return one * int64(s.Layers), int64(s.Hidden) * int64(s.Vocab)
}

// Formats are the names that Ensure knows. The first three are of SafeTensors
// models, the others of GGUF files.
var Formats = []string{"bf16", "f16", "f32", "gguf-bf16", "gguf-f16", "gguf-f32", "q8_0", "q4_0", "q4_k_m"}

// Ensure writes the model to the folder dir, in one of Formats, unless it is
// there whole already. It returns what to open: the folder, or the GGUF file in
// it. The folder appears in one step, so that an interrupted write leaves
// nothing that could be taken for a model.
func Ensure(dir string, s Shape, format string) (path string, err error) {
	if !slices.Contains(Formats, format) {
		return "", fmt.Errorf("synthetic: no number format %q; there are %s", format, strings.Join(Formats, ", "))
	}
	m, gguf := ggufTarget(format)
	file := filepath.Join(dir, "model.safetensors")
	path = dir
	if gguf {
		file = filepath.Join(dir, filepath.Base(dir)+".gguf")
		path = file
	}
	if _, err := os.Stat(file); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("synthetic: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".writing-")
	if err != nil {
		return "", fmt.Errorf("synthetic: %w", err)
	}
	defer os.RemoveAll(tmp)
	if gguf {
		err = create(filepath.Join(tmp, filepath.Base(file)), func(w io.Writer) error { return writeGGUF(w, s, m) })
	} else {
		t, _ := tensor.Parse(strings.ToUpper(format))
		err = writeFolder(tmp, s, t)
	}
	if err == nil {
		err = os.Rename(tmp, dir)
	}
	if err != nil {
		return "", fmt.Errorf("synthetic: %w", err)
	}
	return path, nil
}

// writeFolder writes a model in the HF layout.
func writeFolder(dir string, s Shape, t tensor.DType) error {
	for name, doc := range map[string]any{"config.json": s.config(t), "tokenizer.json": byteTokenizer()} {
		text, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	specs := s.tensors(t)
	noise := newNoise(t)
	return create(filepath.Join(dir, "model.safetensors"), func(w io.Writer) error {
		return weights.WriteSafeTensors(w, specs, func(i int, w io.Writer) error {
			if len(specs[i].Shape) == 1 {
				return writeOnes(w, t, specs[i].Shape[0])
			}
			return noise.write(w, t.RowBytes(specs[i].Shape[0]*specs[i].Shape[1]))
		})
	})
}

func (s Shape) config(t tensor.DType) map[string]any {
	return map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "hidden_act": "silu",
		"hidden_size": s.Hidden, "intermediate_size": s.FFN, "num_hidden_layers": s.Layers,
		"num_attention_heads": s.Heads, "num_key_value_heads": s.KVHeads, "head_dim": s.HeadDim,
		"vocab_size": s.Vocab, "max_position_embeddings": s.Positions, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
		// Random weights choose any id: one that ended the text would end the measurement.
		"bos_token_id": nil, "eos_token_id": nil,
		"tie_word_embeddings": false, "torch_dtype": map[tensor.DType]string{tensor.F32: "float32", tensor.F16: "float16", tensor.BF16: "bfloat16"}[t],
	}
}

func (s Shape) tensors(t tensor.DType) []weights.Spec {
	q, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	list := []weights.Spec{{Name: "model.embed_tokens.weight", Type: t, Shape: []int{s.Vocab, s.Hidden}}}
	for i := range s.Layers {
		for _, m := range []struct {
			name  string
			shape []int
		}{
			{"input_layernorm", []int{s.Hidden}},
			{"self_attn.q_proj", []int{q, s.Hidden}}, {"self_attn.k_proj", []int{kv, s.Hidden}},
			{"self_attn.v_proj", []int{kv, s.Hidden}}, {"self_attn.o_proj", []int{s.Hidden, q}},
			{"post_attention_layernorm", []int{s.Hidden}},
			{"mlp.gate_proj", []int{s.FFN, s.Hidden}}, {"mlp.up_proj", []int{s.FFN, s.Hidden}},
			{"mlp.down_proj", []int{s.Hidden, s.FFN}},
		} {
			list = append(list, weights.Spec{Name: fmt.Sprintf("model.layers.%d.%s.weight", i, m.name), Type: t, Shape: m.shape})
		}
	}
	return append(list, weights.Spec{Name: "model.norm.weight", Type: t, Shape: []int{s.Hidden}},
		weights.Spec{Name: "lm_head.weight", Type: t, Shape: []int{s.Vocab, s.Hidden}})
}

// noise is a stretch of normal values that is written over and over: the files
// are gigabytes, and only their sizes matter.
type noise []byte

// noiseLength is whole blocks of every format and a multiple of no row's length
// of Shapes, so that rows differ.
const noiseLength = 1<<20 + 7*256

func newNoise(t tensor.DType) noise {
	r := rand.New(rand.NewPCG(1, 2))
	vals := make([]float32, noiseLength)
	for i := range vals {
		vals[i] = float32(r.NormFloat64() * 0.02)
	}
	n := make(noise, t.RowBytes(len(vals)))
	t.Encode(n, vals)
	return n
}

func (n noise) write(w io.Writer, bytes int) error {
	for bytes > 0 {
		k, err := w.Write(n[:min(bytes, len(n))])
		if err != nil {
			return err
		}
		bytes -= k
	}
	return nil
}

func writeOnes(w io.Writer, t tensor.DType, n int) error {
	vals := make([]float32, n)
	for i := range vals {
		vals[i] = 1
	}
	buf := make([]byte, t.RowBytes(n))
	t.Encode(buf, vals)
	_, err := w.Write(buf)
	return err
}

// byteVocabulary has a token for each byte. The printable ones stand for
// themselves, the others for the code points from 256 on, as in every byte-level
// vocabulary.
func byteVocabulary() map[string]int {
	vocab, extra := map[string]int{}, 0
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae) {
			r = rune(256 + extra)
			extra++
		}
		vocab[string(r)] = b
	}
	return vocab
}

// byteTokenizer is a byte-level BPE without merges: one token a byte.
func byteTokenizer() map[string]any {
	byteLevel := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}
	return map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": []any{}, "normalizer": nil,
		"pre_tokenizer": byteLevel, "post_processor": nil, "decoder": byteLevel,
		"model": map[string]any{"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil,
			"end_of_word_suffix": nil, "fuse_unk": false, "byte_fallback": false, "vocab": byteVocabulary(), "merges": []any{}},
	}
}
