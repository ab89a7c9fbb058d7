package tokenize

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// otherModels says what the models are that are not read. A name in none of these lists is refused as unknown.
var otherModels = map[string]string{
	"bert": "WordPiece", "t5": "Unigram", "rwkv": "the trie of RWKV", "plamo2": "the table of PLaMo", "gemma4": "merges over plain text",
	"whitespace": "words", "hybriddna": "k-mers", "test": "a test of its writer",
}

// checkModel refuses the kinds of vocabulary that are not read.
func (g *GGUF) checkModel() error {
	switch what, other := otherModels[g.Model]; {
	case g.Model == "llama", g.Model == "gpt2":
		return nil
	case g.Model == "":
		return refuse("model", "missing: use a GGUF file that carries its vocabulary, not one with weights alone")
	case g.Model == "none", g.Model == "no_vocab":
		return refuse("model", `%q is a file without a vocabulary: convert the model again with it`, g.Model)
	case other:
		return refuse("model", `%q (%s) is not supported: use a model with a "llama" or "gpt2" vocabulary`, g.Model, what)
	}
	return refuse("model", `%q is not known: "llama" or "gpt2" is due`, clip(g.Model))
}

// check holds the arrays against each other and each value against its bounds. After it, ids are ids of tokens, types are
// there for every token, and every token is text without NUL that no other one has.
func (g *GGUF) check() (*ggufVocab, error) {
	if err := g.checkArrays(); err != nil {
		return nil, err
	}
	ids, err := g.checkTokens()
	if err != nil {
		return nil, err
	}
	return g.settled(ids), nil
}

// ggufVocab is a vocabulary that was checked.
type ggufVocab struct {
	GGUF
	ids map[string]int32
}

func (g *GGUF) checkArrays() error {
	n := len(g.Tokens)
	switch {
	case n == 0:
		return refuse("tokens", "missing or empty")
	case n > maxTokens:
		return refuse("tokens", "%d tokens, at most %d are allowed", n, maxTokens)
	case len(g.Merges) > maxMerges:
		return refuse("merges", "%d merges, at most %d are allowed", len(g.Merges), maxMerges)
	case g.Types != nil && len(g.Types) != n:
		return refuse("token_type", "%d types for %d tokens", len(g.Types), n)
	case g.Scores != nil && len(g.Scores) != n:
		return refuse("scores", "%d scores for %d tokens", len(g.Scores), n)
	}
	for _, of := range g.named() {
		if of.id < -1 || int64(of.id) >= int64(n) {
			return refuse(of.key, "id %d with %d tokens", of.id, n)
		}
	}
	for i, s := range g.Scores {
		if s := float64(s); math.IsNaN(s) || math.IsInf(s, 0) {
			return refuse(place("scores", i), "%g is not a number to order by", s)
		}
	}
	for i, t := range g.Types {
		if t < ggufUndefined || t > ggufByte {
			return refuse(place("token_type", i), "%d: a type from %d to %d is due", t, ggufUndefined, ggufByte)
		}
	}
	return nil
}

// namedID is a key that names a token by its id.
type namedID struct {
	key string
	id  int32
}

func (g *GGUF) named() []namedID {
	return []namedID{{"bos_token_id", g.BOS}, {"eos_token_id", g.EOS}, {"eot_token_id", g.EOT}, {"eom_token_id", g.EOM},
		{"unknown_token_id", g.UNK}, {"padding_token_id", g.PAD}}
}

func place(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

func (g *GGUF) checkTokens() (map[string]int32, error) {
	ids := make(map[string]int32, len(g.Tokens))
	total := 0
	for i, token := range g.Tokens {
		total += len(token)
		switch first, twice := ids[token]; {
		case len(token) > maxTokenBytes:
			return nil, refuse(place("tokens", i), "%q has %d bytes, at most %d are allowed", clip(token), len(token), maxTokenBytes)
		case total > maxFile:
			return nil, refuse("tokens", "more than %d bytes of text", maxFile)
		case !utf8.ValidString(token):
			return nil, refuse(place("tokens", i), "not UTF-8")
		case strings.IndexByte(token, 0) >= 0:
			return nil, refuse(place("tokens", i), "%q holds a NUL", clip(token))
		case twice:
			return nil, refuse(place("tokens", i), "%q is token %d already", clip(token), first)
		}
		ids[token] = int32(i)
	}
	return ids, nil
}

// settled is the vocabulary with everything filled in that a file may leave out: types, names for empty tokens, and the
// control tokens that a conversion marked as text. The caller's slices stay as they are.
func (g *GGUF) settled(ids map[string]int32) *ggufVocab {
	s := &ggufVocab{GGUF: *g, ids: ids}
	s.Types = make([]int32, len(g.Tokens))
	copy(s.Types, g.Types)
	for i, token := range g.Tokens {
		if g.Types == nil || s.Types[i] == ggufUndefined {
			s.Types[i] = ggufNormal
			if _, isByte := hexByte(token); isByte && g.Model == "llama" {
				s.Types[i] = ggufByte
			}
		}
	}
	for _, of := range g.named() {
		if of.id < 0 || s.Types[of.id] != ggufNormal {
			continue
		}
		if g.Types == nil || looksControl(g.Tokens[of.id]) {
			s.Types[of.id] = ggufControl
		}
	}
	s.nameEmpty()
	s.defaults()
	return s
}

// nameEmpty gives the empty token, of which there can be one, a name that no text has.
func (g *ggufVocab) nameEmpty() {
	id, ok := g.ids[""]
	if !ok {
		return
	}
	name := fmt.Sprintf("\ufdd0%d", id) // a noncharacter: no text of any language has it
	g.Tokens = slices.Clone(g.Tokens)
	g.Tokens[id], g.Types[id] = name, ggufControl
	delete(g.ids, "")
	g.ids[name] = id
}

// defaults finds the tokens that "llama" files before the keys existed leave unnamed.
func (g *ggufVocab) defaults() {
	if g.Model != "llama" {
		return
	}
	for i, token := range g.Tokens {
		switch {
		case g.BOS < 0 && token == "<s>" && g.Types[i] == ggufControl:
			g.BOS = int32(i)
		case g.EOS < 0 && token == "</s>" && g.Types[i] == ggufControl:
			g.EOS = int32(i)
		case g.UNK < 0 && token == "<unk>" && (g.Types[i] == ggufUnknown || g.Types[i] == ggufControl):
			g.UNK = int32(i)
		}
	}
}

// looksControl tells <…> and […] from words. Some files name a word as padding, which must stay a word.
func looksControl(token string) bool {
	n := len(token)
	return n > 2 && (token[0] == '<' && token[n-1] == '>' || token[0] == '[' && token[n-1] == ']')
}
