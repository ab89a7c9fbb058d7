package llama

import "slices"

const vocabulary = "tokenizer.ggml."

// endings are control tokens that end a turn or a text in the chat formats of the
// families here. A generation_config.json lists them all as eos_token_id; GGUF has
// room for one, so a converter dropped the others.
var endings = []string{"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>", "<|end|>"}

// controlToken is the value of tokenizer.ggml.token_type for control tokens.
const controlToken = 3

// ggufTokens reads the special ids: what begins a text, and all that ends one.
func (c *Config) ggufTokens(k *keys) {
	v := &keys{m: k.m, arch: vocabulary[:len(vocabulary)-1]}
	c.BOS = int32(v.integer("bos_token_id", -1, 0, maxPositions))
	if v.err == nil && int(c.BOS) >= c.Vocab {
		v.fail("bos_token_id", "%d is not below the %d rows of %s", c.BOS, c.Vocab, ggufLayout.embed)
	}
	for _, key := range []string{"eos_token_id", "eot_token_id", "eom_token_id"} {
		id := int32(v.integer(key, -1, 0, maxPositions))
		if id >= 0 && !slices.Contains(c.EOS, id) {
			c.EOS = append(c.EOS, id)
		}
	}
	if v.err == nil {
		c.namedEndings(v)
	}
	k.keep(v.err)
}

// namedEndings adds the control tokens that are endings by name.
func (c *Config) namedEndings(v *keys) {
	if !v.has("tokens") || !v.has("token_type") {
		return
	}
	types, err := v.m.Ints(v.name("token_type"))
	if !v.keep(err) {
		return
	}
	v.keep(v.m.EachText(v.name("tokens"), func(id, _ int, token string) {
		if id < len(types) && types[id] == controlToken && slices.Contains(endings, token) && !slices.Contains(c.EOS, int32(id)) {
			c.EOS = append(c.EOS, int32(id))
		}
	}))
}
