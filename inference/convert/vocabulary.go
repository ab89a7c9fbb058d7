package convert

import (
	"llorch/inference/model/llama"
	"llorch/inference/tokenize"
	"llorch/inference/weights"
)

// vocabularyPairs are the keys of the tokenizer. What ends a text is the model's
// affair: its config may name more tokens than a tokenizer does.
func vocabularyPairs(g tokenize.GGUF, c *llama.Config) []weights.Pair {
	var pairs []weights.Pair
	add := func(key string, v any) { pairs = append(pairs, weights.Pair{Key: "tokenizer.ggml." + key, Value: v}) }
	add("model", g.Model)
	if g.Pre != "" {
		add("pre", g.Pre)
	}
	add("tokens", g.Tokens)
	if len(g.Scores) > 0 {
		add("scores", g.Scores)
	}
	if len(g.Types) > 0 {
		add("token_type", g.Types)
	}
	if len(g.Merges) > 0 {
		add("merges", g.Merges)
	}
	ends := [3]int32{-1, -1, -1} // Metadata has seen that there are no more
	copy(ends[:], c.EOS)
	for _, id := range []struct {
		key string
		id  int32
	}{
		{"bos_token_id", c.BOS}, {"eos_token_id", ends[0]}, {"eot_token_id", ends[1]}, {"eom_token_id", ends[2]},
		{"unknown_token_id", g.UNK}, {"padding_token_id", g.PAD},
	} {
		if id.id >= 0 {
			add(id.key, uint32(id.id))
		}
	}
	for _, f := range []struct {
		key string
		on  *bool
	}{{"add_bos_token", g.AddBOS}, {"add_eos_token", g.AddEOS}, {"add_space_prefix", g.AddSpacePrefix}} {
		if f.on != nil {
			add(f.key, *f.on)
		}
	}
	return pairs
}
