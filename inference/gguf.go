package inference

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"llorch/inference/model"
	"llorch/inference/model/llama"
	"llorch/inference/tokenize"
	"llorch/inference/weights"
)

// ggufConfig reads the metadata of a GGUF file with the reader of its family.
func ggufConfig(s *weights.Source) (model.Config, error) {
	name, err := llama.GGUFArchitecture(s)
	if err != nil {
		return nil, fmt.Errorf("inference: %w", err)
	}
	q, ok := ggufFamilies[name]
	if !ok {
		return nil, llama.UnknownGGUF(s, name, slices.Sorted(maps.Keys(ggufFamilies)))
	}
	return llama.ParseGGUF(s, q)
}

const vocabularyKeys = "tokenizer.ggml."

// vocabulary reads the tokenizer that a GGUF file carries. What the values mean,
// and whether they go together, is package tokenize's affair; here they only get
// their Go types.
func vocabulary(m *weights.Metadata) (g tokenize.GGUF, err error) {
	r := vocabularyReader{m: m}
	g = tokenize.GGUF{
		Model: r.text("model"), Pre: r.text("pre"),
		Tokens: r.texts("tokens"), Merges: r.texts("merges"), Scores: r.floats("scores"), Types: r.types("token_type"),
		BOS: r.id("bos_token_id"), EOS: r.id("eos_token_id"), EOT: r.id("eot_token_id"), EOM: r.id("eom_token_id"),
		UNK: r.id("unknown_token_id"), PAD: r.id("padding_token_id"),
		AddBOS: r.flag("add_bos_token"), AddEOS: r.flag("add_eos_token"), AddSpacePrefix: r.flag("add_space_prefix"),
	}
	if r.err == nil && len(g.Tokens) == 0 {
		r.err = m.Fail(vocabularyKeys+"tokens", "missing or empty: the file has no tokenizer")
	}
	return g, r.err
}

// vocabularyReader reads keys that may be missing, until the first error.
type vocabularyReader struct {
	m   *weights.Metadata
	err error
}

// read calls get with the full name of a key that is there.
func read[T any](r *vocabularyReader, key string, get func(string) (T, error)) (v T) {
	if key = vocabularyKeys + key; r.err != nil || !r.m.Has(key) {
		return v
	}
	v, r.err = get(key)
	return v
}

func (r *vocabularyReader) text(key string) string      { return read(r, key, r.m.Text) }
func (r *vocabularyReader) texts(key string) []string   { return read(r, key, r.m.Texts) }
func (r *vocabularyReader) floats(key string) []float32 { return read(r, key, r.m.Float32s) }

func (r *vocabularyReader) types(key string) []int32 {
	list := read(r, key, r.m.Ints)
	if list == nil {
		return nil
	}
	types := make([]int32, len(list))
	for i, v := range list {
		if types[i] = int32(v); int64(types[i]) != v {
			r.err = r.m.Fail(vocabularyKeys+key, "element %d, %d, is no type of a token", i, v)
		}
	}
	return types
}

// id reads a token's id, -1 for none.
func (r *vocabularyReader) id(key string) int32 {
	if !r.m.Has(vocabularyKeys + key) {
		return -1
	}
	v := read(r, key, r.m.Int)
	if r.err == nil && (v < 0 || v > 1<<31-1) {
		r.err = r.m.Fail(vocabularyKeys+key, "%d is no token id", v)
	}
	return int32(v)
}

func (r *vocabularyReader) flag(key string) *bool {
	if !r.m.Has(vocabularyKeys + key) {
		return nil
	}
	v := read(r, key, r.m.Bool)
	return &v
}

// ggufTokenizer makes the tokenizer of a GGUF file.
func ggufTokenizer(s *weights.Source) (tokenize.Tokenizer, []string, error) {
	g, err := vocabulary(s.Meta)
	if err != nil {
		return nil, nil, fmt.Errorf("inference: %w", err)
	}
	tok, err := tokenize.OpenGGUF(s.Files[0].Path, g, tokenize.Options{})
	return tok, g.Doubts(), err
}

// ggufName is how the model in a GGUF file is called: by its file, without what
// says that it is one of several.
func ggufName(s *weights.Source) string {
	name := filepath.Base(s.Files[0].Path)
	if i := strings.LastIndex(strings.ToLower(name), ".gguf"); i > 0 {
		name = name[:i]
	}
	if len(s.Files) > 1 { // "-00001-of-00003"
		name = name[:len(name)-len("-00001-of-00003")]
	}
	return name
}

// fileTypes names the mixtures of formats that general.file_type stands for, in
// the words of those who make such files.
var fileTypes = map[int64]string{
	0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L",
	14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 21: "Q2_K_S", 32: "BF16",
}

// ggufQuant is what the file says of its format, "" where that is nothing, or a
// format that none of its tensors has.
func ggufQuant(s *weights.Source) string {
	if !s.Meta.Has("general.file_type") {
		return ""
	}
	v, err := s.Meta.Int("general.file_type")
	if err != nil {
		return ""
	}
	for _, name := range s.Names() { // "Q4_K_M" has Q4_K among others
		if t, _ := s.Tensor(name); strings.HasPrefix(fileTypes[v], t.Format) {
			return fileTypes[v]
		}
	}
	return ""
}
