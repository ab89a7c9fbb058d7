package tokenize

import (
	"sort"
	"unicode/utf8"
)

// spmWork bounds what deriving merges may cost: the sum of the squares of the pieces' lengths in bytes. The largest known
// vocabularies (256,000 pieces) have 3·10⁷; only pieces of thousands of bytes get there.
const spmWork = 1 << 30

// spmMerges derives merges from the pieces of a SentencePiece BPE model and their scores.
//
// Such a model has no list of merges: of all neighbours that joined are a piece, the pair whose piece has the highest
// score is joined first. The library wants the pairs in order. So each piece is cut in two at every character, the cuts
// whose both sides are pieces are pairs, and they are ordered by the score of the joined piece, higher first; of cuts of
// the same piece the one with the longer left side goes first. That is also how transformers converts such models.
// Control and user-defined tokens, bytes and what stands for unknown text are never made of characters, in SentencePiece
// neither.
func (g *ggufVocab) spmMerges() ([]pair, error) {
	ids := make(map[string]int32, len(g.Tokens))
	work := 0
	for i, token := range g.Tokens {
		if g.Types[i] != ggufNormal {
			continue
		}
		ids[token] = int32(i)
		if work += len(token) * len(token); work > spmWork {
			return nil, refuse(place("tokens", i), "the pieces are too long to find their parts: %d bytes here", len(token))
		}
	}
	var pairs []pair
	for i, token := range g.Tokens {
		if g.Types[i] != ggufNormal {
			continue
		}
		pairs = appendCuts(pairs, ids, token)
		if len(pairs) > maxMerges {
			return nil, refuse("tokens", "the pieces can be joined in more than %d ways", maxMerges)
		}
	}
	sort.SliceStable(pairs, func(a, b int) bool { return g.Scores[pairs[a].joined] > g.Scores[pairs[b].joined] })
	return pairs, nil
}

// pair is a merge by ids.
type pair struct{ left, right, joined int32 }

// appendCuts adds the pairs that one piece can be joined from, those with the most on the left first.
func appendCuts(pairs []pair, ids map[string]int32, token string) []pair {
	for cut := len(token) - 1; cut > 0; cut-- {
		if !utf8.RuneStart(token[cut]) {
			continue
		}
		left, ok := ids[token[:cut]]
		if !ok {
			continue
		}
		if right, ok := ids[token[cut:]]; ok {
			pairs = append(pairs, pair{left, right, ids[token]})
		}
	}
	return pairs
}
