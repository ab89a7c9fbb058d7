package tokenize

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// fromPieces describes a SentencePiece-like vocabulary: spaces written as U+2581 and bytes for what has no piece.
func (g *GGUF) fromPieces(f *jsonFile, def *definition, normalizer, pre []component, merges []string) error {
	g.Model, g.Pre = "llama", "default"
	if !f.Model.ByteFallback || f.Model.IgnoreMerges {
		return refuse("model.byte_fallback", "a vocabulary that is neither byte-level nor spells unknown text in bytes has no counterpart in a GGUF file")
	}
	prefix, err := g.spaces(normalizer, pre)
	if err != nil {
		return err
	}
	g.AddSpacePrefix = &prefix
	for id, token := range g.Tokens {
		if _, isByte := hexByte(token); isByte {
			g.Types[id] = ggufByte
		}
	}
	if id, ok := def.vocab.ids[f.Model.Unk]; ok && f.Model.Unk != "" {
		g.UNK = id
		g.Types[id] = ggufUnknown
	}
	for _, a := range f.Added { // control tokens are no part of any merge
		if a.Special && a.ID != g.UNK {
			g.Types[a.ID] = ggufControl
		}
	}
	return g.scoreMerges(def.vocab.ids, merges)
}

// spaces tells how the file writes them: whether one is put before the text. A splitting at the spaces is allowed where no
// piece reaches over one, since then it changes nothing.
func (g *GGUF) spaces(normalizer, pre []component) (prefix bool, err error) {
	replaced := false
	for _, c := range normalizer {
		from, regex := c.pattern("pattern")
		switch {
		case c.kind == "Prepend" && c.text("prepend") == "▁" && !replaced:
			prefix = true
		case c.kind == "Replace" && !regex && from == " " && c.text("content") == "▁":
			replaced = true
		default:
			return false, refuse("normalizer", "%s is not what a GGUF file says of such a vocabulary", c.kind)
		}
	}
	for _, c := range pre {
		from, regex := c.pattern("pattern")
		splits := c.kind == "Split" && !regex && from == "▁" && c.text("behavior") == "MergedWithNext"
		if c.kind == "Metaspace" && c.text("replacement") == "▁" && !replaced {
			replaced, prefix = true, c.text("prepend_scheme") != "never"
			splits = c.with["split"] != false
			if c.text("prepend_scheme") == "first" {
				g.notes = append(g.notes, "the model puts a space before the beginning of a text only, and not where one stands already; a GGUF file "+
					"means one there always, and behind every control token too")
			}
		} else if !splits {
			return false, refuse("pre_tokenizer", "%s is not what a GGUF file says of such a vocabulary", c.kind)
		}
		if splits && slices.ContainsFunc(g.Tokens, reachesOverSpace) {
			return false, refuse("pre_tokenizer", "text is split at spaces though pieces reach over them, which a GGUF file cannot say")
		}
	}
	if !replaced {
		return false, refuse("normalizer", "spaces are not written as U+2581, as a GGUF file has them")
	}
	return prefix, nil
}

func reachesOverSpace(piece string) bool {
	_, size := utf8.DecodeRuneInString(piece)
	return strings.Contains(piece[size:], "▁")
}

// scoreMerges gives pieces scores in the order of their merges, and checks whether the scores lead back to the same
// merges. Where they do not, the file's merges are kept with them: OpenGGUF goes by these.
func (g *GGUF) scoreMerges(ids map[string]int32, merges []string) error {
	g.Merges = merges
	v := &ggufVocab{GGUF: *g, ids: ids}
	listed, err := v.listedMerges()
	if err != nil {
		return under("model", err)
	}
	g.Scores = make([]float32, len(g.Tokens))
	next := float32(-1)
	for _, p := range listed {
		if g.Scores[p.joined] == 0 {
			g.Scores[p.joined] = next
			next--
		}
	}
	for id := range g.Tokens {
		if g.Scores[id] == 0 && g.Types[id] == ggufNormal { // characters: last, as SentencePiece has them
			g.Scores[id] = next
			next--
		}
	}
	v.Scores = g.Scores
	derived, err := v.spmMerges()
	if err != nil {
		return under("model", err)
	}
	if slices.Equal(derived, listed) {
		g.Merges = nil
	} else if !slices.Equal(inOrder(derived), inOrder(listed)) {
		g.notes = append(g.notes, "the merges of the model are not those of a SentencePiece vocabulary: they are kept in the file, but readers "+
			"that go by the scores alone may cut some words otherwise")
	}
	return nil
}

// inOrder sorts the merges of each piece, which do not compete; the order of the pieces stays.
func inOrder(pairs []pair) []pair {
	sorted := slices.Clone(pairs)
	for from := 0; from < len(sorted); {
		to := from
		for to < len(sorted) && sorted[to].joined == sorted[from].joined {
			to++
		}
		slices.SortFunc(sorted[from:to], func(a, b pair) int { return int(a.left) - int(b.left) })
		from = to
	}
	return sorted
}
