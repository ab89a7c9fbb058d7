package tokenize

import (
	"strings"
	"testing"
)

func TestPatternsOfKnownModelsPass(t *testing.T) {
	for name, pattern := range map[string]string{
		"GPT-2":    `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
		"Llama 3":  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
		"Qwen 2":   `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
		"o200k":    `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
		"DeepSeek": "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
		"Kimi":     `[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{M}&&[^\p{Han}]]+(?i:'s|'t)?`,
		"Bloom":    ` ?[^(\s|[.,!?…。，、।۔،])]+`,
		"digits":   `\p{N}{1,3}`,
		"fixed":    `(?:ab)+|x{3}|(?<=a)b|(?#note)\d++|a{,3}|{x}|[]]`,
		"empty":    ``,
	} {
		if err := checkPattern(pattern); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDangerousPatternsAreRefused(t *testing.T) {
	for _, pattern := range []string{
		`(a+)+$`, `(a*)*`, `(a|a)*`, `(a|aa)+$`, `(?:a?)*`, `(?:a{1,3}){2,9}`, `((ab)?)+`, `(a+|b)+`, `(?:\s*x?)+`, `(?>a+)+`,
		`(?i:a+)*`, `a{1,30}{1,30}`, `a**`, `a+*`, `(?=(a+)+)b`, `[a-z]+[a-z]+[a-z]+x`, `(?:x{2}?)+`, `(a)\1`, `\k<x>`, `\g<x>`,
		`(?<x>a)`, `(?(1)a|b)`, `(a`, `a)`, `[a`, `\`, `+a`, `\p{L`, `(?#`, `(?~a)`, strings.Repeat("(", 40) + strings.Repeat(")", 40),
		strings.Repeat("[", 40) + strings.Repeat("]", 40), strings.Repeat("a", maxPattern+1), `[a\`,
	} {
		if err := checkPattern(pattern); err == nil {
			t.Errorf("%q passes", clip(pattern))
		}
	}
}
