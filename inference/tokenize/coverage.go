package tokenize

import (
	"fmt"
	"unicode/utf8"
)

// coverage tells which text the vocabulary cannot write. Where it cannot and there is no token for unknown text either,
// the library drops characters without a word; a prompt that quietly loses its letters is worse than an error.
type coverage struct {
	bytes   [256]bool // bytes without a token, for byte-level tokenizers
	partial bool      // any of bytes is set
	runes   bool      // characters must be tokens themselves
}

func newCoverage(m modelOptions, v *vocabulary, byteLevel bool) (coverage, error) {
	var c coverage
	if m.unk != "" || m.kind != "BPE" {
		return c, nil
	}
	switch {
	case byteLevel:
		for b := range 256 {
			if _, ok := v.ids[string(byteChar(byte(b)))]; !ok && occursInUTF8(byte(b)) {
				c.bytes[b], c.partial = true, true
			}
		}
	case m.byteFallback:
		for b := range 256 {
			if _, ok := v.ids[hexToken(byte(b))]; !ok && occursInUTF8(byte(b)) {
				return c, refuse("byte_fallback", "the vocabulary has no token %s and no unk_token: text would be lost", hexToken(byte(b)))
			}
		}
	default:
		c.runes = true
	}
	return c, nil
}

func occursInUTF8(b byte) bool { return b != 0xc0 && b != 0xc1 && b < 0xf5 }

func hexToken(b byte) string { return fmt.Sprintf("<0x%02X>", b) }

// check finds the first character of a text that would be lost. Spaces are left out: tokenizers that do not work on
// bytes write them as another character before they look for tokens.
func (c *coverage) check(text string, v *vocabulary) error {
	if !c.partial && !c.runes {
		return nil
	}
	for i, r := range text {
		lost := false
		if c.runes && r != ' ' {
			_, known := v.ids[string(r)]
			lost = !known
		}
		for j := i; c.partial && j < i+utf8.RuneLen(r); j++ {
			lost = lost || c.bytes[text[j]]
		}
		if lost {
			return fmt.Errorf("tokenize: %w: the vocabulary cannot write %q (byte %d of the text) and has no token for unknown text",
				ErrNotEncodable, r, i)
		}
	}
	return nil
}
