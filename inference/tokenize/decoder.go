package tokenize

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// decoder turns ids into bytes of text. It is the decoder of tokenizer.json boiled down at load time to the bytes of each
// token, so decoding is a look-up and the answer does not depend on how the ids are cut.
type decoder struct {
	vocab   *vocabulary
	steps   []func(token string, first bool) string
	bytes   []byte   // of all tokens, one after another; empty for control tokens
	offsets []uint32 // token id's bytes are bytes[offsets[id]:offsets[id+1]]
	first   bool     // the first token of a text reads differently
	between string   // put between tokens
	strip   rune     // dropped up to strips times at the start of a text
	strips  int
}

// newDecoder builds the decoder from the steps of tokenizer.json. A step whose effect would depend on where the library
// cuts the text at that point is refused; no known model has one.
func newDecoder(steps []component, v *vocabulary) (*decoder, error) {
	d := &decoder{vocab: v}
	if len(steps) == 0 {
		d.between = " "
	}
	fused, bytes := false, false
	for _, c := range steps {
		perToken := !fused && !bytes
		switch {
		case c.kind == "Fuse":
			fused = true
		case c.kind == "ByteLevel" && perToken:
			d.steps = append(d.steps, fromByteChars)
			fused = true
		case c.kind == "ByteFallback" && perToken:
			d.steps = append(d.steps, fromHexToken)
			bytes = true
		case c.kind == "Replace" && perToken:
			from, regex := c.pattern("pattern")
			if regex {
				return nil, refuse("pattern", "a regular expression in a decoder is not supported")
			}
			to := c.text("content")
			if len(to) > maxReplacement {
				return nil, refuse("content", "%d bytes for each match, at most %d are allowed", len(to), maxReplacement)
			}
			d.steps = append(d.steps, func(s string, _ bool) string { return strings.ReplaceAll(s, from, to) })
		case c.kind == "Metaspace" && perToken:
			d.metaspace(c.text("replacement"), c.text("prepend_scheme") != "never")
		case c.kind == "Strip" && perToken:
			d.steps = append(d.steps, stripToken(c.text("content"), c.count("start"), c.count("stop")))
		case c.kind == "Strip" && fused && c.count("stop") == 0 && d.strips == 0:
			d.strip, _ = utf8.DecodeRuneInString(c.text("content"))
			d.strips = c.count("start")
		default:
			return nil, refuse("type", "%s is not supported at this place of the decoder", c.kind)
		}
	}
	return d, d.render()
}

// metaspace reads the mark as a space, and as nothing in the first token of a text when the encoder puts one there.
func (d *decoder) metaspace(mark string, prepended bool) {
	d.first = prepended
	d.steps = append(d.steps, func(s string, first bool) string {
		if first && prepended {
			return strings.ReplaceAll(s, mark, "")
		}
		return strings.ReplaceAll(s, mark, " ")
	})
}

// Bounds on what decoding may make of tokens, since replacements can make them longer and follow one another.
const (
	maxReplacement  = 64
	maxDecodedToken = 4 * maxTokenBytes
	maxDecoded      = 256 << 20
)

func (d *decoder) render() error {
	d.offsets = make([]uint32, 1, len(d.vocab.tokens)+1)
	for id, token := range d.vocab.tokens {
		if !d.vocab.special[id] {
			text := d.apply(token, false)
			if len(text) > maxDecodedToken || len(d.bytes)+len(text) > maxDecoded {
				return refuse("", "token %q decodes to %d bytes", clip(token), len(text))
			}
			d.bytes = append(d.bytes, text...)
		}
		d.offsets = append(d.offsets, uint32(len(d.bytes)))
	}
	return nil
}

func (d *decoder) apply(token string, first bool) string {
	for _, step := range d.steps {
		if token = step(token, first); len(token) > maxDecodedToken {
			break // refused by render
		}
	}
	return token
}

// piece is the bytes of one token, nil for control tokens and ids that do not exist.
func (d *decoder) piece(id int32) []byte {
	if id < 0 || int(id) >= len(d.offsets)-1 {
		return nil
	}
	return d.bytes[d.offsets[id]:d.offsets[id+1]]
}

// shown tells whether a token takes part in decoding at all.
func (d *decoder) shown(id int32) bool {
	return id >= 0 && int(id) < len(d.vocab.tokens) && !d.vocab.special[id]
}

// byteChar is the character that stands for a byte in byte-level vocabularies: printable Latin-1 for itself, the 68 others
// from U+0100 on (the table of the GPT-2 encoder).
func byteChar(b byte) rune {
	if printable(b) {
		return rune(b)
	}
	n := rune(0)
	for c := range int(b) {
		if !printable(byte(c)) {
			n++
		}
	}
	return 0x100 + n
}

func printable(b byte) bool {
	return b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae
}

var charBytes = func() map[rune]byte {
	m := make(map[rune]byte, 256)
	for b := range 256 {
		m[byteChar(byte(b))] = byte(b)
	}
	return m
}()

// fromByteChars undoes the byte-level spelling. A token with any other character (an added one) stands for itself.
func fromByteChars(token string, _ bool) string {
	out := make([]byte, 0, len(token))
	for _, r := range token {
		b, ok := charBytes[r]
		if !ok {
			return token
		}
		out = append(out, b)
	}
	return string(out)
}

// fromHexToken reads <0xNN> as that byte.
func fromHexToken(token string, _ bool) string {
	if b, ok := hexByte(token); ok {
		return string([]byte{b})
	}
	return token
}

func hexByte(token string) (byte, bool) {
	if len(token) != 6 || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(b), err == nil
}

func stripToken(content string, start, stop int) func(string, bool) string {
	return func(s string, _ bool) string {
		for n := 0; n < start && strings.HasPrefix(s, content); n++ {
			s = s[len(content):]
		}
		for n := 0; n < stop && strings.HasSuffix(s, content); n++ {
			s = s[:len(s)-len(content)]
		}
		return s
	}
}
