package synthetic

import (
	"fmt"
	"io"
	"strings"

	"llorch/inference/convert"
	"llorch/inference/model/llama"
	"llorch/inference/tensor"
	"llorch/inference/weights"
)

// ggufTarget returns the target that a name of Formats means, false for one of
// SafeTensors models.
func ggufTarget(format string) (convert.Target, bool) {
	name, plain := strings.CutPrefix(format, "gguf-")
	t, err := convert.ParseTarget(name)
	return t, err == nil && (plain || t.Quantized())
}

// fits refuses a shape whose vocabulary is too small, or whose rows are no whole
// blocks: they would get another format than the one that is to be measured.
func (s Shape) fits(m convert.Target) error {
	if s.Vocab < 257 {
		return fmt.Errorf("shape %s has %d tokens, at least 257 are needed", s.Name, s.Vocab)
	}
	for _, role := range []llama.Role{llama.Matrix, llama.Head} {
		want := m.Format(llama.Export{Role: role}, s.Hidden*tensor.Q6_K.Block(), s.Layers)
		for _, cols := range []int{s.Hidden, s.FFN, s.Heads * s.HeadDim} {
			if cols%want.Block() != 0 {
				return fmt.Errorf("shape %s has rows of %d elements, %v has blocks of %d: choose another shape or format", s.Name, cols, want, want.Block())
			}
		}
	}
	return nil
}

// writeGGUF writes the model, vocabulary included, as one file.
func writeGGUF(w io.Writer, s Shape, m convert.Target) error {
	if err := s.fits(m); err != nil {
		return err
	}
	specs := s.ggufTensors(m)
	noises := map[tensor.DType]noise{}
	return weights.WriteGGUF(w, s.ggufPairs(m), specs, func(i int, w io.Writer) error {
		t, shape := specs[i].Type, specs[i].Shape
		if len(shape) == 1 {
			return writeOnes(w, t, shape[0])
		}
		if noises[t] == nil {
			noises[t] = newNoise(t)
		}
		return noises[t].write(w, t.RowBytes(shape[0]*shape[1]))
	})
}

// ggufTensors lists the tensors; norms are F32, as llama.cpp wants them.
func (s Shape) ggufTensors(m convert.Target) []weights.Spec {
	q, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	spec := func(name string, role llama.Role, layer int, shape ...int) weights.Spec {
		t := m.Format(llama.Export{Role: role, Layer: layer}, shape[len(shape)-1], s.Layers)
		return weights.Spec{Name: name + ".weight", Type: t, Shape: shape}
	}
	list := []weights.Spec{spec("token_embd", llama.Embedding, 0, s.Vocab, s.Hidden)}
	for i := range s.Layers {
		for _, x := range []struct {
			name  string
			role  llama.Role
			shape []int
		}{
			{"attn_norm", llama.Vector, []int{s.Hidden}},
			{"attn_q", llama.Matrix, []int{q, s.Hidden}}, {"attn_k", llama.Matrix, []int{kv, s.Hidden}}, {"attn_v", llama.Value, []int{kv, s.Hidden}},
			{"attn_output", llama.Matrix, []int{s.Hidden, q}}, {"ffn_norm", llama.Vector, []int{s.Hidden}},
			{"ffn_gate", llama.Matrix, []int{s.FFN, s.Hidden}}, {"ffn_up", llama.Matrix, []int{s.FFN, s.Hidden}}, {"ffn_down", llama.Down, []int{s.Hidden, s.FFN}},
		} {
			list = append(list, spec(fmt.Sprintf("blk.%d.%s", i, x.name), x.role, i, x.shape...))
		}
	}
	return append(list, spec("output_norm", llama.Vector, 0, s.Hidden), spec("output", llama.Head, 0, s.Vocab, s.Hidden))
}

// ggufPairs are the keys. The vocabulary has a token for each byte, one for two
// zero bytes, as a byte-level vocabulary without a merge is taken for a broken
// one, and then tokens that no text has: there must be as many as the embedding
// table has rows.
func (s Shape) ggufPairs(m convert.Target) []weights.Pair {
	tokens, types := make([]string, s.Vocab), make([]int32, s.Vocab)
	for text, id := range byteVocabulary() {
		tokens[id], types[id] = text, 1 // normal
	}
	const zero = "\u0100" // how such a vocabulary spells the byte
	tokens[256], types[256] = zero+zero, 1
	for id := 257; id < s.Vocab; id++ {
		tokens[id], types[id] = fmt.Sprintf("<unused%d>", id), 5 // unused
	}
	pairs := []weights.Pair{
		{Key: "general.architecture", Value: "llama"}, {Key: "general.type", Value: "model"}, {Key: "general.name", Value: s.Name},
		{Key: "general.file_type", Value: m.FileType}, {Key: "general.quantization_version", Value: uint32(2)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)}, {Key: "llama.rope.freq_base", Value: float32(10000)},
		{Key: "tokenizer.ggml.model", Value: "gpt2"}, {Key: "tokenizer.ggml.pre", Value: "gpt-2"},
		{Key: "tokenizer.ggml.tokens", Value: tokens}, {Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.ggml.merges", Value: []string{zero + " " + zero}}, {Key: "tokenizer.ggml.add_bos_token", Value: false},
	}
	for _, n := range []struct {
		key   string
		value int
	}{
		{"vocab_size", s.Vocab}, {"context_length", s.Positions}, {"embedding_length", s.Hidden}, {"block_count", s.Layers},
		{"feed_forward_length", s.FFN}, {"attention.head_count", s.Heads}, {"attention.head_count_kv", s.KVHeads},
		{"attention.key_length", s.HeadDim}, {"attention.value_length", s.HeadDim}, {"rope.dimension_count", s.HeadDim},
	} {
		pairs = append(pairs, weights.Pair{Key: "llama." + n.key, Value: uint32(n.value)})
	}
	return pairs
}
