package tokenize

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// maxFile bounds tokenizer.json; the largest known one has 33 MB.
const maxFile = 100 << 20

// definition is a tokenizer.json that was checked in full.
type definition struct {
	vocab   *vocabulary
	decoder *decoder
	model   modelOptions
	cover   coverage
	digest  [sha256.Size]byte // of the file as it is on disk
	library []byte            // what the library gets: the file without truncation and padding
}

// modelOptions is model in tokenizer.json without its two big tables.
type modelOptions struct {
	kind         string // BPE or WordLevel
	unk          string // token for what has no other, "" for none
	byteFallback bool   // unknown characters become one token <0xNN> per byte
}

// parseDefinition checks a tokenizer.json and builds everything that the library does not offer from it. It holds for
// whatever bytes: no panic, no allocation from a number in the file, an *Error that names field or offset.
func parseDefinition(data []byte) (*definition, error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return nil, &Error{Offset: 0, Reason: "starts with a byte order mark: save it as plain UTF-8"}
	case !utf8.Valid(data):
		return nil, &Error{Offset: int64(invalidAt(data)), Reason: "not UTF-8"}
	}
	d := &definition{digest: sha256.Sum256(data)}
	parts, err := d.walk(data)
	if err != nil {
		return nil, err
	}
	if d.vocab == nil {
		return nil, refuse("model.vocab", "missing")
	}
	if err := d.vocab.add(parts["added_tokens"].of(data)); err != nil {
		return nil, under("added_tokens", err)
	}
	if err := d.pipeline(parts, data); err != nil {
		return nil, err
	}
	d.library = withoutLimits(data, parts["truncation"], parts["padding"])
	return d, nil
}

func invalidAt(data []byte) int {
	i := 0
	for i < len(data) {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		i += size
	}
	return i
}

// span is where a value stands in the file; the zero value is a field that the file does not have.
type span struct{ start, end int }

func (s span) of(data []byte) []byte {
	if s.end == 0 {
		return []byte("null")
	}
	return data[s.start:s.end]
}

// topLevel is every field of a tokenizer.json; the library stops at any other.
var topLevel = []string{"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
	"decoder", "model"}

// walk reads the whole file once: syntax everywhere, the model's tables on the way, spans of the small fields for later.
func (d *definition) walk(data []byte) (map[string]span, error) {
	r := &reader{b: data}
	parts := map[string]span{}
	err := r.object(func(key string) error {
		if key == "model" {
			return under("model", d.readModel(r))
		}
		if !slices.Contains(topLevel, key) {
			return under(clip(key), r.fail("not a field of tokenizer.json"))
		}
		r.space()
		start := r.i
		if err := r.skip(); err != nil {
			return under(clip(key), err)
		}
		parts[key] = span{start, r.i}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if r.peek(); r.i < len(r.b) {
		return nil, r.fail("text after the end of the JSON object")
	}
	if v := string(parts["version"].of(data)); v != `"1.0"` {
		return nil, refuse("version", `%s instead of "1.0"`, clip(v))
	}
	return parts, nil
}

func (d *definition) readModel(r *reader) error {
	rest := map[string]json.RawMessage{}
	merges := -1
	err := r.object(func(key string) error {
		switch {
		case key == "vocab" && r.peek() == '{':
			v, err := readVocab(r)
			d.vocab = v
			return under(key, err)
		case key == "merges" && d.vocab != nil:
			return under(key, d.vocab.checkMerges(r))
		case key == "merges": // before the vocabulary: come back later
			r.space()
			merges = r.i
			return under(key, r.skip())
		}
		raw, err := r.raw()
		rest[key] = raw
		return under(clip(key), err)
	})
	if err != nil {
		return err
	}
	if err := d.readModelOptions(rest); err != nil || merges < 0 || d.vocab == nil {
		return err
	}
	return under("merges", d.vocab.checkMerges(&reader{b: r.b, i: merges}))
}

func (d *definition) readModelOptions(rest map[string]json.RawMessage) error {
	var o struct {
		Type    string   `json:"type"`
		Unk     *string  `json:"unk_token"`
		Dropout *float64 `json:"dropout"`
		Prefix  *string  `json:"continuing_subword_prefix"`
		Suffix  *string  `json:"end_of_word_suffix"`
		Bytes   *bool    `json:"byte_fallback"`
		Fuse    *bool    `json:"fuse_unk"`
		Ignore  *bool    `json:"ignore_merges"`
	}
	fields := map[string]any{"type": &o.Type, "unk_token": &o.Unk, "dropout": &o.Dropout, "continuing_subword_prefix": &o.Prefix,
		"end_of_word_suffix": &o.Suffix, "byte_fallback": &o.Bytes, "fuse_unk": &o.Fuse, "ignore_merges": &o.Ignore}
	for name, to := range fields {
		if raw, ok := rest[name]; ok && json.Unmarshal(raw, to) != nil {
			return refuse(name, "%s is not a value of the right type", clip(string(raw)))
		}
	}
	switch {
	case o.Type != "BPE" && o.Type != "WordLevel":
		return refuse("type", "%q is not supported: BPE or WordLevel is due", clip(o.Type))
	case d.vocab == nil:
		return refuse("vocab", "an object of tokens and ids is due")
	case o.Dropout != nil && *o.Dropout != 0:
		return refuse("dropout", "%g would make every encoding of the same text differ: set it to null", *o.Dropout)
	case o.Prefix != nil && *o.Prefix != "", o.Suffix != nil && *o.Suffix != "":
		return refuse("continuing_subword_prefix", "prefixes and suffixes of word parts are not supported")
	}
	if o.Unk != nil {
		if _, ok := d.vocab.ids[*o.Unk]; !ok {
			return refuse("unk_token", "%q is not in the vocabulary", clip(*o.Unk))
		}
		d.model.unk = *o.Unk
	}
	d.model.kind, d.model.byteFallback = o.Type, o.Bytes != nil && *o.Bytes
	return nil
}

// pipeline checks the four component places and derives the decoder and the coverage.
func (d *definition) pipeline(parts map[string]span, data []byte) error {
	places := []struct {
		name string
		schema
	}{{"normalizer", normalizers}, {"pre_tokenizer", preTokenizers}, {"post_processor", postProcessors}, {"decoder", decoders}}
	steps := map[string][]component{}
	for _, place := range places {
		c, err := parseComponents(parts[place.name].of(data), place.schema)
		if err != nil {
			return under(place.name, err)
		}
		steps[place.name] = c
	}
	for _, c := range steps["post_processor"] {
		if c.kind == "TemplateProcessing" {
			if err := checkTemplate(c, d.vocab); err != nil {
				return under("post_processor", err)
			}
		}
	}
	var err error
	if d.decoder, err = newDecoder(steps["decoder"], d.vocab); err != nil {
		return under("decoder", err)
	}
	byteLevel := func(c component) bool { return c.kind == "ByteLevel" }
	d.cover, err = newCoverage(d.model, d.vocab,
		slices.ContainsFunc(steps["normalizer"], byteLevel) || slices.ContainsFunc(steps["pre_tokenizer"], byteLevel))
	return under("model", err)
}

// add puts the added tokens over the vocabulary of the model. The library ignores the ids written there: a token that the
// model knows keeps the model's id, others are numbered from its end. A file that says otherwise would encode to
// other ids than its author meant, so it is refused.
func (v *vocabulary) add(raw []byte) error {
	var members []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return &Error{Offset: -1, Reason: "a list of objects is due"}
	}
	seen := map[string]bool{}
	for i, m := range members {
		if err := v.addOne(m, seen); err != nil {
			return under(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

func (v *vocabulary) addOne(m map[string]json.RawMessage, seen map[string]bool) error {
	id, ok := parseID(string(m["id"]))
	if !ok {
		return refuse("id", "%s is not a token id", clip(string(m["id"])))
	}
	var content string
	if json.Unmarshal(m["content"], &content) != nil || content == "" || len(content) > maxTokenBytes || seen[content] {
		return refuse("content", "a new text of 1 to %d bytes is due, not %s", maxTokenBytes, clip(string(m["content"])))
	}
	seen[content] = true
	var special bool
	for _, name := range []string{"single_word", "lstrip", "rstrip", "normalized", "special"} {
		if json.Unmarshal(m[name], &special) != nil || string(m[name]) == "null" {
			return refuse(name, "true or false is due")
		}
	}
	due, known := v.ids[content]
	if !known {
		due = int32(len(v.tokens))
	}
	if int64(due) != id {
		return refuse("id", "%q is token %d, not %d: a remapped token would reach the model as another", clip(content), due, id)
	}
	if !known {
		if len(v.tokens) == maxTokens {
			return refuse("", "more than %d tokens", maxTokens)
		}
		v.ids[content] = due
		v.tokens, v.special = append(v.tokens, content), append(v.special, false)
	}
	v.special[due] = special
	return nil
}

// withoutLimits is the file with truncation and padding set to null: the library would cut or fill every text without a
// word, which is the caller's business here.
func withoutLimits(data []byte, spans ...span) []byte {
	slices.SortFunc(spans, func(a, b span) int { return a.start - b.start })
	out, from := data, 0
	if slices.ContainsFunc(spans, func(s span) bool { return s.end > 0 }) {
		out = make([]byte, 0, len(data))
		for _, s := range spans {
			if s.end > 0 {
				out = append(append(out, data[from:s.start]...), "null"...)
				from = s.end
			}
		}
		out = append(out, data[from:]...)
	}
	return out
}
