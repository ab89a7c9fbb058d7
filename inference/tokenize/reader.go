package tokenize

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep JSON may nest in a tokenizer file; the deepest known real one has 9 levels.
const maxDepth = 32

// reader walks JSON once, without building a tree: a vocabulary has 10⁵ members and as many merges again. It refuses
// what encoding/json lets pass (a key twice, a lone surrogate, a control character in a string) because the library that
// gets the file next may see something else there.
type reader struct {
	b       []byte
	i       int
	depth   int
	scratch []byte // decoded text of a string with escapes
}

func (r *reader) fail(reason string, args ...any) error {
	return &Error{Offset: int64(r.i), Reason: fmt.Sprintf(reason, args...)}
}

func (r *reader) space() {
	for r.i < len(r.b) && (r.b[r.i] == ' ' || r.b[r.i] == '\n' || r.b[r.i] == '\t' || r.b[r.i] == '\r') {
		r.i++
	}
}

// peek is the first byte of the next value or delimiter, 0 at the end of the text.
func (r *reader) peek() byte {
	r.space()
	if r.i == len(r.b) {
		return 0
	}
	return r.b[r.i]
}

func (r *reader) expect(c byte) error {
	if got := r.peek(); got != c {
		if r.i == len(r.b) {
			return r.fail("the text ends where %q is due", c)
		}
		return r.fail("%q where %q is due", got, c)
	}
	r.i++
	return nil
}

// open enters an object or array, done tells whether another member follows; together they check the delimiters.
func (r *reader) open(c byte) error {
	if err := r.expect(c); err != nil {
		return err
	}
	if r.depth++; r.depth > maxDepth {
		return r.fail("nested deeper than %d levels", maxDepth)
	}
	return nil
}

func (r *reader) done(end byte, first bool) (bool, error) {
	if r.peek() == end {
		r.i++
		r.depth--
		return true, nil
	}
	if first {
		return false, nil
	}
	if err := r.expect(','); err != nil {
		return false, err
	}
	if r.peek() == end {
		return false, r.fail("a comma before %q", end)
	}
	return false, nil
}

// members calls fn with each key of an object; fn must consume the value. Duplicate keys are the caller's to find.
func (r *reader) members(fn func(key []byte) error) error {
	if err := r.open('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		if end, err := r.done('}', first); end || err != nil {
			return err
		}
		key, err := r.str()
		if err != nil {
			return err
		}
		if err := r.expect(':'); err != nil {
			return err
		}
		if err := fn(key); err != nil {
			return err
		}
	}
}

// object is members with duplicate keys refused, escaped spellings of the same key included.
func (r *reader) object(fn func(key string) error) error {
	seen := map[string]bool{}
	return r.members(func(key []byte) error {
		k := string(key)
		if seen[k] {
			return r.fail("key %q appears twice", clip(k))
		}
		seen[k] = true
		return fn(k)
	})
}

func (r *reader) array(fn func(i int) error) error {
	if err := r.open('['); err != nil {
		return err
	}
	for i := 0; ; i++ {
		if end, err := r.done(']', i == 0); end || err != nil {
			return err
		}
		if err := fn(i); err != nil {
			return err
		}
	}
}

// str reads a string. The bytes are valid until the next call of any method.
func (r *reader) str() ([]byte, error) {
	if err := r.expect('"'); err != nil {
		return nil, err
	}
	for start := r.i; r.i < len(r.b); r.i++ {
		switch c := r.b[r.i]; {
		case c == '"':
			r.i++
			return r.b[start : r.i-1], nil
		case c == '\\':
			r.scratch = append(r.scratch[:0], r.b[start:r.i]...)
			return r.escaped()
		case c < ' ':
			return nil, r.fail("control character 0x%02x in a string", c)
		}
	}
	return nil, r.fail("the text ends inside a string")
}

// escaped goes on with a string from its first backslash, into scratch.
func (r *reader) escaped() ([]byte, error) {
	for r.i < len(r.b) {
		switch c := r.b[r.i]; {
		case c == '"':
			r.i++
			return r.scratch, nil
		case c == '\\':
			if err := r.escape(); err != nil {
				return nil, err
			}
		case c < ' ':
			return nil, r.fail("control character 0x%02x in a string", c)
		default:
			r.scratch = append(r.scratch, c)
			r.i++
		}
	}
	return nil, r.fail("the text ends inside a string")
}

func (r *reader) escape() error {
	if r.i+1 >= len(r.b) {
		return r.fail("the text ends inside an escape")
	}
	c := r.b[r.i+1]
	if c == 'u' {
		return r.codePoint()
	}
	plain := map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
	v, ok := plain[c]
	if !ok {
		return r.fail("unknown escape \\%c", c)
	}
	r.scratch = append(r.scratch, v)
	r.i += 2
	return nil
}

func (r *reader) codePoint() error {
	v, ok := r.hex4(r.i)
	if !ok {
		return r.fail("\\u without four hexadecimal digits")
	}
	size := 6
	if utf16.IsSurrogate(v) {
		low, ok := r.hex4(r.i + 6)
		if v = utf16.DecodeRune(v, low); !ok || v == utf8.RuneError {
			return r.fail("half of a surrogate pair")
		}
		size = 12
	}
	r.scratch = utf8.AppendRune(r.scratch, v)
	r.i += size
	return nil
}

// hex4 is the value of the escape \uXXXX that starts at byte i.
func (r *reader) hex4(i int) (rune, bool) {
	if i+6 > len(r.b) || r.b[i] != '\\' || r.b[i+1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(r.b[i+2:i+6]), 16, 16)
	return rune(v), err == nil
}

// number is the text of a JSON number.
func (r *reader) number() (string, error) {
	r.space()
	start := r.i
	for r.i < len(r.b) && (r.b[r.i] >= '0' && r.b[r.i] <= '9' || r.b[r.i] == '-' || r.b[r.i] == '+' ||
		r.b[r.i] == '.' || r.b[r.i] == 'e' || r.b[r.i] == 'E') {
		r.i++
	}
	text := string(r.b[start:r.i])
	if !isNumber(text) {
		r.i = start
		return "", r.fail("not a number")
	}
	return text, nil
}

// isNumber is the grammar of RFC 8259 §6: no leading zeros, no bare point, no plus sign in front.
func isNumber(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if s != "" && s[0] == '-' {
		s = s[1:]
	}
	if s != "" && s[0] == '0' {
		s = s[1:]
	} else if !digits() {
		return false
	}
	if s != "" && s[0] == '.' {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		if s = s[1:]; s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		return digits() && s == ""
	}
	return s == ""
}

// skip passes over one value of any kind, with all the checks.
func (r *reader) skip() error {
	switch c := r.peek(); {
	case c == '{':
		return r.object(func(string) error { return r.skip() })
	case c == '[':
		return r.array(func(int) error { return r.skip() })
	case c == '"':
		_, err := r.str()
		return err
	case c == 't':
		return r.word("true")
	case c == 'f':
		return r.word("false")
	case c == 'n':
		return r.word("null")
	default:
		_, err := r.number()
		return err
	}
}

func (r *reader) word(w string) error {
	if r.i+len(w) > len(r.b) || string(r.b[r.i:r.i+len(w)]) != w {
		return r.fail("neither a JSON value nor a delimiter")
	}
	r.i += len(w)
	return nil
}

// raw is the text of the next value, checked like skip.
func (r *reader) raw() ([]byte, error) {
	r.space()
	start := r.i
	err := r.skip()
	return r.b[start:r.i], err
}

// clip shortens text from a file for an error message, which must stay readable whatever the file holds.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
