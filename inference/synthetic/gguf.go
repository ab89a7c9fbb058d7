package synthetic

import (
	"fmt"
	"io"

	"llorch/inference/tensor"
	"llorch/inference/weights"
)

// mixture says which format the tensors of a GGUF file have. Those of more than
// one are llama-quantize's.
type mixture struct {
	fileType     uint32       // general.file_type
	matrix, head tensor.DType // of the head, and of all other matrices
	mixed        bool         // attn_v and ffn_down of some layers are in the head's format
}

// mixtures by the names that Ensure takes.
var mixtures = map[string]mixture{
	"gguf-f32": {0, tensor.F32, tensor.F32, false}, "gguf-f16": {1, tensor.F16, tensor.F16, false}, "gguf-bf16": {32, tensor.BF16, tensor.BF16, false},
	"q8_0": {7, tensor.Q8_0, tensor.Q8_0, false}, "q4_0": {2, tensor.Q4_0, tensor.Q6_K, false}, "q4_k_m": {15, tensor.Q4_K, tensor.Q6_K, true},
}

// layerFormat is the format of one matrix of a layer.
func (m mixture) layerFormat(name string, layer, layers int) tensor.DType {
	if !m.mixed || name != "attn_v" && name != "ffn_down" {
		return m.matrix
	}
	if eighth := layers / 8; layer < eighth || layer >= 7*layers/8 || (layer-eighth)%3 == 2 {
		return m.head
	}
	return m.matrix
}

// fits refuses a shape whose rows are no whole blocks, or whose vocabulary is too small.
func (m mixture) fits(s Shape) error {
	if s.Vocab < 257 {
		return fmt.Errorf("shape %s has %d tokens, at least 257 are needed", s.Name, s.Vocab)
	}
	for _, t := range []tensor.DType{m.matrix, m.head} {
		for _, cols := range []int{s.Hidden, s.FFN, s.Heads * s.HeadDim} {
			if cols%t.Block() != 0 {
				return fmt.Errorf("shape %s has rows of %d elements, %v has blocks of %d: choose another shape or format", s.Name, cols, t, t.Block())
			}
		}
	}
	return nil
}

// writeGGUF writes the model, vocabulary included, as one file.
func writeGGUF(w io.Writer, s Shape, m mixture) error {
	if err := m.fits(s); err != nil {
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
func (s Shape) ggufTensors(m mixture) []weights.Spec {
	q, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	list := []weights.Spec{{Name: "token_embd.weight", Type: m.matrix, Shape: []int{s.Vocab, s.Hidden}}}
	for i := range s.Layers {
		for _, x := range []struct {
			name  string
			shape []int
		}{
			{"attn_norm", []int{s.Hidden}},
			{"attn_q", []int{q, s.Hidden}}, {"attn_k", []int{kv, s.Hidden}}, {"attn_v", []int{kv, s.Hidden}}, {"attn_output", []int{s.Hidden, q}},
			{"ffn_norm", []int{s.Hidden}},
			{"ffn_gate", []int{s.FFN, s.Hidden}}, {"ffn_up", []int{s.FFN, s.Hidden}}, {"ffn_down", []int{s.Hidden, s.FFN}},
		} {
			t := tensor.F32
			if len(x.shape) == 2 {
				t = m.layerFormat(x.name, i, s.Layers)
			}
			list = append(list, weights.Spec{Name: fmt.Sprintf("blk.%d.%s.weight", i, x.name), Type: t, Shape: x.shape})
		}
	}
	return append(list, weights.Spec{Name: "output_norm.weight", Type: tensor.F32, Shape: []int{s.Hidden}},
		weights.Spec{Name: "output.weight", Type: m.head, Shape: []int{s.Vocab, s.Hidden}})
}

// ggufPairs are the keys. The vocabulary has a token for each byte, one for two
// zero bytes, as a byte-level vocabulary without a merge is taken for a broken
// one, and then tokens that no text has: there must be as many as the embedding
// table has rows.
func (s Shape) ggufPairs(m mixture) []weights.Pair {
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
		{Key: "general.file_type", Value: m.fileType}, {Key: "general.quantization_version", Value: uint32(2)},
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
