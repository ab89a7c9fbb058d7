package tokenize

import (
	"slices"
	"strings"
)

// splitting is how a byte-level vocabulary cuts text into words, inside which pairs are merged: tokenizer.ggml.pre names
// it. The steps are those of the models' own tokenizer.json files.
type splitting struct {
	names        []string
	steps        []step // before the bytes become characters
	gpt2         bool   // the byte-level step splits by the expression of GPT-2 as well
	after        []step // after it
	nfc          bool   // the text is composed first
	ignoreMerges bool   // a word that is a token is not taken apart
	addBOS       bool   // when add_bos_token does not say
}

type step = map[string]any

const (
	contractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)`
	blanks       = `\s*[\r\n]+|\s+(?!\S)|\s+`

	llama3Words   = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|` + blanks
	qwen2Words    = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|` + blanks
	qwen35Words   = contractions + `|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|` + blanks
	seedWords     = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}` + "\r\n" + `]+|` + blanks
	bailingWords  = `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`
	bloomWords    = ` ?[^(\s|[.,!?…。，、।۔،])]+`
	upper, lower  = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
	casedWords    = `[^\r\n\p{L}\p{N}]?` + upper + `*` + lower + `+`
	capitalWords  = `[^\r\n\p{L}\p{N}]?` + upper + `+` + lower + `*`
	tekkenWords   = casedWords + `|` + capitalWords + `|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|` + blanks
	gpt4oWords    = casedWords + contractions + `?|` + capitalWords + contractions + `?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|` + blanks
	deepseek3Text = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|" +
		blanks
	gpt2Words = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

	// cased is the letters that deepseek-llm knows, as its tokenizer.json lists them; in escapes, because editors compose some.
	cased = "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377" +
		"\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-" +
		"\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-" +
		"\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-" +
		"\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115" +
		"\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-" +
		"\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-" +
		"\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-" +
		"\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
	ideographs = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
)

func split(expression string) step {
	return step{"type": "Split", "pattern": step{"Regex": expression}, "behavior": "Isolated", "invert": false}
}

func digits(each bool) step { return step{"type": "Digits", "individual_digits": each} }

// splittings are the values of tokenizer.ggml.pre that are read. A name is here when the steps behind it were published
// with its model and the reference ids of that model come out (see doc.go).
var splittings = []splitting{
	{names: []string{"default"}, steps: []step{split(`[\p{P}\$\+<=>\^~\|]+`), split(gpt2Words), split(`\p{N}+`), split(`[0-9][0-9][0-9]`)}},
	{names: []string{"gpt-2", "phi-2", "jais", "trillion", "granite-docling", "exaone4", "gigachat", "mellum"}, gpt2: true},
	{names: []string{"mpt", "olmo"}, gpt2: true, nfc: true},
	{names: []string{"llama-bpe", "llama3", "llama-v3", "falcon3", "lfm2"}, steps: []step{split(llama3Words)}, ignoreMerges: true, addBOS: true},
	{names: []string{"dbrx", "smaug-bpe", "chatglm-bpe"}, steps: []step{split(llama3Words)}},
	{names: []string{"glm4"}, steps: []step{split(llama3Words)}, ignoreMerges: true},
	{names: []string{"qwen2", "stablelm2", "deepseek-r1-qwen", "megrez"}, steps: []step{split(qwen2Words)}, nfc: true},
	{names: []string{"hunyuan", "grok-2", "solar-open"}, steps: []step{split(qwen2Words)}},
	{names: []string{"qwen35"}, steps: []step{split(qwen35Words)}, nfc: true},
	{names: []string{"deepseek-llm"}, steps: []step{split("[\r\n]"), split(`\s?[` + cased + `]+`),
		split("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"), split(`\s+$`), split(ideographs), digits(true)}},
	{names: []string{"deepseek-coder"}, steps: []step{split("[\r\n]"), split(`\s?\p{L}+`), split(`\s?\p{P}+`), split(ideographs), digits(true)}},
	{names: []string{"deepseek-v3", "hunyuan-dense"}, steps: []step{split(`\p{N}{1,3}`), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(deepseek3Text)}},
	{names: []string{"falcon"}, steps: []step{{"type": "Punctuation", "behavior": "Contiguous"}}, gpt2: true,
		after: []step{digits(false), split(`[0-9][0-9][0-9]`)}},
	{names: []string{"starcoder", "refact", "smollm", "codeshell", "exaone", "minerva-7b"}, steps: []step{digits(true)}, gpt2: true},
	{names: []string{"command-r"}, steps: []step{digits(true)}, gpt2: true, nfc: true},
	{names: []string{"tekken"}, steps: []step{split(tekkenWords)}, ignoreMerges: true, addBOS: true},
	{names: []string{"gpt-4o", "llama4"}, steps: []step{split(gpt4oWords)}},
	{names: []string{"bloom", "poro-chat", "gpt3-finnish"}, steps: []step{split(bloomWords)}},
	{names: []string{"viking"}, steps: []step{split(bloomWords), digits(true)}},
	{names: []string{"seed-coder"}, steps: []step{split(seedWords)}},
	{names: []string{"bailingmoe", "bailingmoe2"}, steps: []step{split(bailingWords)}},
}

// splittingOf finds the splitting by its name.
func splittingOf(pre string) (splitting, error) {
	if pre == "" {
		pre = "default"
	}
	var known []string
	for _, s := range splittings {
		if slices.Contains(s.names, pre) {
			return s, nil
		}
		known = append(known, s.names...)
	}
	slices.Sort(known)
	return splitting{}, refuse("pre", "%q is not known; supported are %s", clip(pre), strings.Join(known, ", "))
}

// preTokenizer is the splitting as tokenizer.json has it.
func (s *splitting) preTokenizer() any {
	steps := slices.Clone(s.steps)
	steps = append(steps, step{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": s.gpt2})
	return step{"type": "Sequence", "pretokenizers": append(steps, s.after...)}
}

func (s *splitting) normalizer() any {
	if s.nfc {
		return step{"type": "NFC"}
	}
	return nil
}
