package agent

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// decodeError is why a body was refused. Status is 400 where the text is not
// JSON, 422 where it is JSON of the wrong shape.
type decodeError struct {
	status int
	text   string
}

func (e *decodeError) Error() string { return e.text }

// scanner reads one JSON text from left to right and stops at the first fault,
// with the verdicts of serde_json: old clients see the same status for the
// same body. encoding/json cannot do this: it folds the case of keys, lets
// duplicates win, turns null into zero and repairs lone surrogates.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) syntax(format string, args ...any) error {
	return &decodeError{http.StatusBadRequest,
		"Failed to parse the request body as JSON: " + fmt.Sprintf(format, args...) + s.where()}
}

func (s *scanner) data422(format string, args ...any) error {
	return &decodeError{http.StatusUnprocessableEntity,
		"Failed to deserialize the JSON body into the target type: " + fmt.Sprintf(format, args...) + s.where()}
}

func (s *scanner) where() string {
	at := min(s.pos, len(s.data))
	line := 1 + bytes.Count(s.data[:at], []byte{'\n'})
	return fmt.Sprintf(" at line %d column %d", line, at-bytes.LastIndexByte(s.data[:at], '\n')-1)
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch b := s.data[s.pos]; b {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return b
		}
	}
	return 0
}

func (s *scanner) expect(b byte, what string) error {
	if s.peek() == b {
		s.pos++
		return nil
	}
	if s.pos >= len(s.data) {
		return s.syntax("EOF while parsing %s", what)
	}
	return s.syntax("expected `%c`", b)
}

// end refuses anything but white space after the value.
func (s *scanner) end() error {
	if s.peek(); s.pos < len(s.data) {
		return s.syntax("trailing characters")
	}
	return nil
}

// object calls member for each key, with the scanner at the value.
func (s *scanner) object(member func(key string) error) error {
	return s.list('{', '}', "an object", func() error {
		if err := s.quote(); err != nil {
			return err
		}
		key, err := s.str()
		if err != nil {
			return err
		}
		if err := s.expect(':', "an object"); err != nil {
			return err
		}
		return member(key)
	})
}

// quote wants the opening quote of a key.
func (s *scanner) quote() error {
	switch {
	case s.peek() == '"':
		return nil
	case s.pos >= len(s.data):
		return s.syntax("EOF while parsing an object")
	}
	return s.syntax("key must be a string")
}

// list reads open, items with commas between them, and shut.
func (s *scanner) list(open, shut byte, what string, item func() error) error {
	if err := s.expect(open, what); err != nil {
		return err
	}
	if s.peek() == shut {
		s.pos++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
			if s.peek() == shut {
				return s.syntax("trailing comma")
			}
		case shut:
			s.pos++
			return nil
		case 0:
			return s.syntax("EOF while parsing %s", what)
		default:
			return s.syntax("expected `,` or `%c`", shut)
		}
	}
}

// number returns the text of a number and whether it is an integer in
// serde_json's eyes: no point, no exponent, not -0.
func (s *scanner) number() (text string, integer bool, err error) {
	start := s.pos
	if s.at() == '-' {
		s.pos++
	}
	switch b := s.at(); {
	case b == '0':
		s.pos++
		if b := s.at(); b >= '0' && b <= '9' {
			return "", false, s.syntax("invalid number")
		}
	case !s.digits():
		return "", false, s.syntax("invalid number")
	}
	integer = true
	if s.at() == '.' {
		s.pos++
		integer = false
		if !s.digits() {
			return "", false, s.syntax("invalid number")
		}
	}
	if b := s.at(); b == 'e' || b == 'E' {
		s.pos++
		integer = false
		if b := s.at(); b == '+' || b == '-' {
			s.pos++
		}
		if !s.digits() {
			return "", false, s.syntax("invalid number")
		}
	}
	text = string(s.data[start:s.pos])
	return text, integer && text != "-0", nil
}

func (s *scanner) at() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) digits() bool {
	start := s.pos
	for b := s.at(); b >= '0' && b <= '9'; b = s.at() {
		s.pos++
	}
	return s.pos > start
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return s.syntax("expected ident")
	}
	s.pos += len(word)
	return nil
}

// unsigned reads an integer of at most bits bits.
func (s *scanner) unsigned(field string, bits int) (uint64, error) {
	want := "u" + strconv.Itoa(bits)
	if b := s.peek(); b != '-' && (b < '0' || b > '9') {
		return 0, s.mismatch(field, want)
	}
	text, integer, err := s.number()
	if err != nil {
		return 0, err
	}
	if !integer {
		return 0, s.data422("%s: invalid type: floating point, expected %s", field, want)
	}
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		return 0, s.data422("%s: invalid value: integer out of range, expected %s", field, want)
	}
	return n, nil
}

// float reads a number as a float64 and rounds it to 32 bits, which is what
// the wire's f32 fields have always meant: 1e39 becomes +Inf and fails its range.
func (s *scanner) float(field string) (float32, error) {
	if b := s.peek(); b != '-' && (b < '0' || b > '9') {
		return 0, s.mismatch(field, "f32")
	}
	text, _, err := s.number()
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, s.syntax("number out of range")
	}
	return float32(f), nil
}

func (s *scanner) text(field string) (string, error) {
	if s.peek() != '"' {
		return "", s.mismatch(field, "a string")
	}
	return s.str()
}

func (s *scanner) texts(field string) ([]string, error) {
	if s.peek() != '[' {
		return nil, s.mismatch(field, "a sequence")
	}
	var all []string
	err := s.list('[', ']', "a list", func() error {
		t, err := s.text(field)
		all = append(all, t)
		return err
	})
	return all, err
}

// mismatch says what stands where something else was wanted: 422, or 400 when
// it is not even a value. The value itself is not repeated.
func (s *scanner) mismatch(field, want string) error {
	var kind string
	var err error
	switch b := s.peek(); {
	case b == '"':
		kind = "string"
		_, err = s.str()
	case b == '-' || b >= '0' && b <= '9':
		kind = "number"
		_, _, err = s.number()
	case b == '{':
		kind = "map"
	case b == '[':
		kind = "sequence"
	case b == 'n':
		kind, err = "null", s.literal("null")
	case b == 't':
		kind, err = "boolean", s.literal("true")
	case b == 'f':
		kind, err = "boolean", s.literal("false")
	case b == 0 && s.pos >= len(s.data):
		return s.syntax("EOF while parsing a value")
	default:
		return s.syntax("expected value")
	}
	if err != nil {
		return err
	}
	if field != "" {
		field += ": "
	}
	return s.data422("%sinvalid type: %s, expected %s", field, kind, want)
}

// str reads a string with the scanner at its opening quote.
func (s *scanner) str() (string, error) {
	s.pos++
	start := s.pos
	for s.pos < len(s.data) {
		switch b := s.data[s.pos]; {
		case b == '"':
			raw := s.data[start:s.pos]
			if !utf8.Valid(raw) {
				return "", s.syntax("invalid unicode code point")
			}
			s.pos++
			return string(raw), nil
		case b == '\\':
			return s.escaped(start)
		case b < 0x20:
			return "", s.syntax("control character (\\u0000-\\u001F) found while parsing a string")
		default:
			s.pos++
		}
	}
	return "", s.syntax("EOF while parsing a string")
}
