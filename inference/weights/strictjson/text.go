package strictjson

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// String consumes a string and returns it decoded.
func (s *Scanner) String() (string, error) {
	if s.Kind() != String {
		return "", s.wrong("a string")
	}
	if err := s.count(); err != nil {
		return "", err
	}
	return s.quoted()
}

func (s *Scanner) quoted() (string, error) {
	s.space()
	if s.pos == len(s.text) || s.text[s.pos] != '"' {
		return "", s.wrong("a string")
	}
	s.pos++
	start := s.pos
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '"':
			s.pos++
			return s.text[start : s.pos-1], nil
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return "", s.errorf("control byte %#02x in a string", c)
		}
		s.pos++
	}
	return "", s.errorf("the text ends inside a string")
}

// escaped continues quoted at its first backslash; start is where the string's
// text began.
func (s *Scanner) escaped(start int) (string, error) {
	var b strings.Builder
	b.WriteString(s.text[start:s.pos])
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '"':
			s.pos++
			return b.String(), nil
		case c < ' ':
			return "", s.errorf("control byte %#02x in a string", c)
		case c != '\\':
			b.WriteByte(c)
			s.pos++
		default:
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
		}
	}
	return "", s.errorf("the text ends inside a string")
}

// escape consumes one escape sequence, or two that are one surrogate pair.
func (s *Scanner) escape() (rune, error) {
	if s.pos+1 == len(s.text) {
		return 0, s.errorf("the text ends inside an escape")
	}
	c := s.text[s.pos+1]
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		s.pos += 2
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	if c != 'u' {
		return 0, s.errorf(`unknown escape \%c`, c)
	}
	r, ok := s.hex(s.pos)
	if !ok {
		return 0, s.errorf(`\u without four hexadecimal digits`)
	}
	if !utf16.IsSurrogate(r) {
		s.pos += 6
		return r, nil
	}
	low, ok := s.hex(s.pos + 6)
	if pair := utf16.DecodeRune(r, low); ok && pair != unicode.ReplacementChar {
		s.pos += 12
		return pair, nil
	}
	return 0, s.errorf("half a surrogate pair")
}

// hex reads the \uXXXX at byte at.
func (s *Scanner) hex(at int) (rune, bool) {
	if at+6 > len(s.text) || s.text[at] != '\\' || s.text[at+1] != 'u' {
		return 0, false
	}
	var v rune
	for i := at + 2; i < at+6; i++ {
		c := s.text[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		v = v<<4 | rune(c)
	}
	return v, true
}

// Quote is key as an error message shows it: quoted, and cut where it is long.
func Quote(key string) string {
	const most = 80
	if len(key) <= most {
		return strconv.Quote(key)
	}
	return strconv.Quote(strings.ToValidUTF8(key[:most], "")) + "… (" + strconv.Itoa(len(key)) + " bytes)"
}

// SameFold reports whether a and b differ at most in case, as encoding/json
// would match a key with a field.
func SameFold(a, b string) bool { return strings.EqualFold(a, b) }

// keySet is the keys of one object. Most objects have few, and a map for each
// would cost more than the text it came from.
type keySet struct {
	few  [8]string
	n    int
	many map[string]struct{} // all of them, once they are more than few
}

func (k *keySet) add(key string) bool {
	if k.many == nil {
		if slices.Contains(k.few[:k.n], key) {
			return false
		}
		if k.n < len(k.few) {
			k.few[k.n] = key
			k.n++
			return true
		}
		k.many = make(map[string]struct{}, 4*len(k.few))
		for _, have := range k.few {
			k.many[have] = struct{}{}
		}
	}
	if _, dup := k.many[key]; dup {
		return false
	}
	k.many[key] = struct{}{}
	return true
}

func (k *keySet) len() int { return max(k.n, len(k.many)) }
