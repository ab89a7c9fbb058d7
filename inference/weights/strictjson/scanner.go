package strictjson

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error says what is wrong with a text and at which byte, counted from 0.
type Error struct {
	Offset int
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("json: byte %d: %s", e.Offset, e.Reason) }

// Limits bounds what a text may make its reader do. Zero fields mean the
// defaults named beside them.
type Limits struct {
	Depth   int // nesting of arrays and objects: 64
	Values  int // values of every kind, keys not counted: 1<<17
	Members int // members of one object: 1<<17
}

const (
	defaultDepth = 64
	defaultCount = 1 << 17
)

func (l Limits) filled() Limits {
	if l.Depth == 0 {
		l.Depth = defaultDepth
	}
	if l.Values == 0 {
		l.Values = defaultCount
	}
	if l.Members == 0 {
		l.Members = defaultCount
	}
	return l
}

// Kind is what a value is.
type Kind uint8

// The kinds. Invalid is what Kind reports where no value begins.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

func (k Kind) String() string {
	return [...]string{"no value", "null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// Scanner reads one text from its start to its end: each call consumes the next
// value, and strings without escapes are slices of the text.
type Scanner struct {
	text   string
	pos    int
	depth  int
	values int
	limits Limits
}

// New checks that text is UTF-8 without a byte order mark.
func New(text string, l Limits) (*Scanner, error) {
	if strings.HasPrefix(text, "\uFEFF") {
		return nil, &Error{0, "a byte order mark; save the file as plain UTF-8"}
	}
	if !utf8.ValidString(text) {
		return nil, &Error{firstInvalid(text), "not UTF-8"}
	}
	return &Scanner{text: text, limits: l.filled()}, nil
}

func firstInvalid(text string) int {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") {
			return i
		}
	}
	return len(text)
}

// Offset is the byte the next call begins at, white space skipped.
func (s *Scanner) Offset() int {
	s.space()
	return s.pos
}

// Kind looks at the next value without consuming it.
func (s *Scanner) Kind() Kind {
	s.space()
	if s.pos == len(s.text) {
		return Invalid
	}
	switch c := s.text[s.pos]; {
	case c == '{':
		return Object
	case c == '[':
		return Array
	case c == '"':
		return String
	case c == 't', c == 'f':
		return Bool
	case c == 'n':
		return Null
	case c == '-', '0' <= c && c <= '9':
		return Number
	}
	return Invalid
}

// Object calls member for each key, at being the key's offset; member must
// consume exactly the value.
func (s *Scanner) Object(member func(key string, at int) error) error {
	if err := s.begin(Object); err != nil {
		return err
	}
	var seen keySet
	for first := true; ; first = false {
		if done, err := s.next('}', first); done || err != nil {
			return err
		}
		at := s.Offset()
		key, err := s.quoted()
		if err != nil {
			return err
		}
		if !seen.add(key) {
			return &Error{at, fmt.Sprintf("key %s for the second time", Quote(key))}
		}
		if seen.len() > s.limits.Members {
			return &Error{at, fmt.Sprintf("more than %d members in one object", s.limits.Members)}
		}
		if err := s.expect(':', "':' after a key"); err != nil {
			return err
		}
		if err := member(key, at); err != nil {
			return err
		}
	}
}

// Array calls element for each element, which must consume exactly it.
func (s *Scanner) Array(element func(i int) error) error {
	if err := s.begin(Array); err != nil {
		return err
	}
	for i := 0; ; i++ {
		if done, err := s.next(']', i == 0); done || err != nil {
			return err
		}
		if err := element(i); err != nil {
			return err
		}
	}
}

// Skip consumes the next value, checking it like any other.
func (s *Scanner) Skip() error {
	switch s.Kind() {
	case Object:
		return s.Object(func(string, int) error { return s.Skip() })
	case Array:
		return s.Array(func(int) error { return s.Skip() })
	case String:
		_, err := s.String()
		return err
	case Number:
		_, err := s.Number()
		return err
	}
	_, err := s.Literal()
	return err
}

// Literal consumes true, false or null.
func (s *Scanner) Literal() (string, error) {
	if err := s.count(); err != nil {
		return "", err
	}
	for _, word := range []string{"true", "false", "null"} {
		if strings.HasPrefix(s.text[s.pos:], word) {
			s.pos += len(word)
			return word, nil
		}
	}
	if s.pos == len(s.text) {
		return "", s.errorf("the text ends where a value belongs")
	}
	return "", s.errorf("no value begins here; JSON has neither NaN nor comments")
}

// End checks that only white space is left.
func (s *Scanner) End() error {
	if s.space(); s.pos != len(s.text) {
		return s.errorf("bytes after the value")
	}
	return nil
}

// begin consumes an opening bracket.
func (s *Scanner) begin(k Kind) error {
	if s.Kind() != k {
		return s.wrong(k.String())
	}
	if err := s.count(); err != nil {
		return err
	}
	if s.depth++; s.depth > s.limits.Depth {
		return s.errorf("nested deeper than %d", s.limits.Depth)
	}
	s.pos++
	return nil
}

// next consumes the comma before an element, or the closing bracket.
func (s *Scanner) next(closing byte, first bool) (done bool, err error) {
	s.space()
	if s.pos < len(s.text) && s.text[s.pos] == closing {
		s.pos++
		s.depth--
		return true, nil
	}
	if first {
		return false, nil
	}
	return false, s.expect(',', fmt.Sprintf("',' or %q", closing))
}

func (s *Scanner) expect(c byte, what string) error {
	s.space()
	if s.pos == len(s.text) || s.text[s.pos] != c {
		return s.wrong(what)
	}
	s.pos++
	return nil
}

// wrong says that something else than what begins here.
func (s *Scanner) wrong(what string) error {
	found := s.Kind().String()
	switch {
	case s.pos == len(s.text):
		found = "the text ends"
	case s.Kind() == Invalid:
		found = strconv.Quote(s.text[s.pos : s.pos+1])
	}
	return s.errorf("%s where %s belongs", found, what)
}

// count accounts for one value.
func (s *Scanner) count() error {
	s.space()
	if s.values++; s.values > s.limits.Values {
		return s.errorf("more than %d values", s.limits.Values)
	}
	return nil
}

func (s *Scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *Scanner) errorf(format string, args ...any) error {
	return &Error{s.pos, fmt.Sprintf(format, args...)}
}
