package tokenize

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"io"
	"strconv"
	"strings"
)

// document is the tokenizer.json that encodes and decodes as the vocabulary asks, every token with its id.
func (g *GGUF) document() ([]byte, error) {
	if err := g.checkModel(); err != nil {
		return nil, err
	}
	s, err := g.check()
	if err != nil {
		return nil, err
	}
	parts, pairs, err := s.pipeline()
	if err != nil {
		return nil, err
	}
	if parts["post_processor"], err = s.template(parts["post_processor"] != nil); err != nil {
		return nil, err
	}
	return s.write(parts, pairs)
}

// pipeline is everything but the template, by kind. The value under post_processor says whether BOS is put before
// a text when the file does not say.
func (g *ggufVocab) pipeline() (map[string]any, []pair, error) {
	if g.Model == "llama" {
		return g.spmPipeline()
	}
	s, err := splittingOf(g.Pre)
	if err != nil {
		return nil, nil, err
	}
	if len(g.Merges) == 0 {
		return nil, nil, refuse("merges", "missing: a byte-level vocabulary cannot be used without")
	}
	pairs, err := g.listedMerges()
	byteLevel := step{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}
	parts := map[string]any{
		"normalizer": s.normalizer(), "pre_tokenizer": s.preTokenizer(), "decoder": byteLevel,
		"model": step{"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": false, "byte_fallback": false, "ignore_merges": s.ignoreMerges},
	}
	if s.addBOS {
		parts["post_processor"] = true
	}
	return parts, pairs, err
}

// spmPipeline writes spaces as U+2581, puts one before every text, and spells characters without a piece in bytes.
func (g *ggufVocab) spmPipeline() (map[string]any, []pair, error) {
	var pairs []pair
	var err error
	switch {
	case len(g.Merges) > 0:
		pairs, err = g.listedMerges()
	case g.Scores == nil:
		err = refuse("scores", "missing: the order in which pieces are joined is not known without")
	default:
		pairs, err = g.spmMerges()
	}
	if err != nil {
		return nil, nil, err
	}
	spaces := []any{step{"type": "Replace", "pattern": step{"String": " "}, "content": "▁"}}
	decoders := []any{step{"type": "Replace", "pattern": step{"String": "▁"}, "content": " "},
		step{"type": "ByteFallback"}, step{"type": "Fuse"}}
	if isSet(g.AddSpacePrefix, true) {
		spaces = append([]any{step{"type": "Prepend", "prepend": "▁"}}, spaces...)
		decoders = append(decoders, step{"type": "Strip", "content": " ", "start": 1, "stop": 0})
	}
	var unk any
	if g.UNK >= 0 {
		unk = g.Tokens[g.UNK]
	}
	return map[string]any{
		"normalizer":    step{"type": "Sequence", "normalizers": spaces},
		"pre_tokenizer": nil, "post_processor": true,
		"decoder": step{"type": "Sequence", "decoders": decoders},
		"model": step{"type": "BPE", "dropout": nil, "unk_token": unk, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": true, "byte_fallback": true, "ignore_merges": false},
	}, pairs, nil
}

// listedMerges reads Merges. A blank separates the parts, which have none themselves. Of a pair listed twice the first counts.
// Added tokens are found before anything is merged, so a merge with one has no use but to forge it in literal text.
func (g *ggufVocab) listedMerges() ([]pair, error) {
	pairs := make([]pair, 0, len(g.Merges))
	seen := make(map[uint64]bool, len(g.Merges))
	var both []byte
	for i, merge := range g.Merges {
		left, right, two := strings.Cut(merge, " ")
		if !two || left == "" || right == "" || strings.Contains(right, " ") {
			return nil, refuse(place("merges", i), "%q is not two parts with a blank between them", clip(merge))
		}
		a, okA := g.ids[left]
		b, okB := g.ids[right]
		both = append(append(both[:0], left...), right...)
		joined, okAB := g.ids[string(both)]
		if !okA || !okB || !okAB {
			return nil, refuse(place("merges", i), "%q and %q, or what they make, is no token", clip(left), clip(right))
		}
		key := uint64(a)<<32 | uint64(b)
		if seen[key] || g.isAdded(int(a)) || g.isAdded(int(b)) || g.isAdded(int(joined)) {
			continue
		}
		seen[key] = true
		pairs = append(pairs, pair{a, b, joined})
	}
	return pairs, nil
}

// template puts BOS and EOS round every text, as far as the file or its kind says so.
func (g *ggufVocab) template(bosByDefault bool) (any, error) {
	special := map[string]any{}
	mark := func(key string, id int32, wanted *bool, otherwise bool) ([]any, error) {
		if !isSet(wanted, otherwise && id >= 0) {
			return nil, nil
		}
		if id < 0 {
			return nil, refuse(key, "missing, though the file asks for the token with every text")
		}
		token := g.Tokens[id]
		special[token] = step{"id": token, "ids": []int32{id}, "tokens": []string{token}}
		return []any{step{"SpecialToken": step{"id": token, "type_id": 0}}}, nil
	}
	bos, err := mark("bos_token_id", g.BOS, g.AddBOS, bosByDefault)
	if err != nil {
		return nil, err
	}
	eos, err := mark("eos_token_id", g.EOS, g.AddEOS, false)
	if err != nil || len(bos)+len(eos) == 0 {
		return nil, err
	}
	text := func(name string) []any {
		return append(append(append([]any{}, bos...), step{"Sequence": step{"id": name, "type_id": 0}}), eos...)
	}
	return step{"type": "TemplateProcessing", "single": text("A"), "pair": append(text("A"), text("B")...), "special_tokens": special}, nil
}

// write puts the document together. The two big tables are written by hand: encoding/json takes many times as long.
func (g *ggufVocab) write(parts map[string]any, pairs []pair) ([]byte, error) {
	quoted, size := make([][]byte, len(g.Tokens)), 0
	for _, token := range g.Tokens {
		size += len(token) + len(`""`)
	}
	all := make([]byte, 0, size+size/16) // few bytes are escaped
	for i, token := range g.Tokens {
		from := len(all)
		all = appendQuoted(all, token)
		quoted[i] = all[from:len(all):len(all)]
	}
	parts["version"], parts["truncation"], parts["padding"] = "1.0", nil, nil
	parts["added_tokens"] = g.addedTokens()
	model := parts["model"].(step)
	delete(parts, "model")
	head, err := json.Marshal(parts)
	if err != nil {
		return nil, err
	}
	options, err := json.Marshal(model)
	if err != nil {
		return nil, err
	}
	size = len(head) + len(options) + len(all) + len(g.Tokens)*len(`:123456,`) + 64
	for _, p := range pairs {
		size += len(quoted[p.left]) + len(quoted[p.right]) + len(`[,],`)
	}
	b := append(make([]byte, 0, size), head[:len(head)-1]...)
	b = append(b, `,"model":`...)
	b = append(b, options[:len(options)-1]...)
	b = append(b, `,"vocab":{`...)
	for i := range quoted[:g.words()] {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, quoted[i]...), ':')
		b = strconv.AppendInt(b, int64(i), 10)
	}
	b = append(b, `},"merges":[`...)
	for i, p := range pairs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '['), quoted[p.left]...), ',')
		b = append(append(b, quoted[p.right]...), ']')
	}
	return append(b, "]}}"...), nil
}

// words is how many tokens belong to the model's vocabulary: all but the added ones at the end. Added ones before them must
// be part of it, since ids have no gaps; out of it they cannot be made of text that is read literally, not even where a
// word that is a token is not taken apart.
func (g *ggufVocab) words() int {
	n := len(g.Tokens)
	for n > 0 && g.isAdded(n-1) {
		n--
	}
	return n
}

func (g *ggufVocab) isAdded(id int) bool {
	return g.isControl(id) || g.Types[id] == ggufUserDefined
}

func (g *ggufVocab) isControl(id int) bool {
	return g.Types[id] == ggufControl || g.Types[id] == ggufUnknown
}

// addedTokens are the tokens that are found in a text before it is split: control tokens, and those that a model was
// given later. Both are matched as they are written.
func (g *ggufVocab) addedTokens() []any {
	added := []any{}
	_, phi3 := g.ids[phi3Mark]
	swallows := g.swallowing(phi3)
	for i, token := range g.Tokens {
		if !g.isAdded(i) {
			continue
		}
		added = append(added, step{"id": i, "content": token, "single_word": false, "lstrip": false, "rstrip": swallows(token),
			"normalized": false, "special": g.isControl(i)})
	}
	return added
}

// phi3Mark is a token of Phi-3 and of no other vocabulary.
const phi3Mark = "<|placeholder1|>"

// swallowing tells which added tokens take the blanks behind them along. A GGUF file cannot say so; of the vocabularies
// that are read only that of Phi-3 does it, and is known by its placeholders.
func (g *GGUF) swallowing(phi3 bool) func(token string) bool {
	return func(token string) bool {
		switch token {
		case "<unk>", "<s>", "<|endoftext|>":
			return false
		}
		return phi3 && g.Model == "llama"
	}
}

const hexDigits = "0123456789abcdef"

// appendQuoted writes valid UTF-8 as a JSON string.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// pack keeps a document small until it is wanted again, for the reading of control tokens as text.
func pack(document []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(document); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return bytes.Clone(b.Bytes()), nil
}

func unpack(kept []byte) ([]byte, error) {
	return io.ReadAll(flate.NewReader(bytes.NewReader(kept)))
}
