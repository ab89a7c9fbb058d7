package agent

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// escaped finishes a string that has escapes; start is after its opening quote
// and the scanner at the first backslash.
func (s *scanner) escaped(start int) (string, error) {
	out := append(make([]byte, 0, s.pos-start+64), s.data[start:s.pos]...)
	for s.pos < len(s.data) {
		switch b := s.data[s.pos]; {
		case b == '"':
			if !utf8.Valid(out) {
				return "", s.syntax("invalid unicode code point")
			}
			s.pos++
			return string(out), nil
		case b == '\\':
			s.pos++
			var err error
			if out, err = s.escape(out); err != nil {
				return "", err
			}
		case b < 0x20:
			return "", s.syntax("control character (\\u0000-\\u001F) found while parsing a string")
		default:
			out = append(out, b)
			s.pos++
		}
	}
	return "", s.syntax("EOF while parsing a string")
}

// escape appends what the escape after a backslash stands for.
func (s *scanner) escape(out []byte) ([]byte, error) {
	b := s.at()
	s.pos++
	switch b {
	case '"', '\\', '/':
		return append(out, b), nil
	case 'b':
		return append(out, '\b'), nil
	case 'f':
		return append(out, '\f'), nil
	case 'n':
		return append(out, '\n'), nil
	case 'r':
		return append(out, '\r'), nil
	case 't':
		return append(out, '\t'), nil
	case 'u':
		r, err := s.codePoint()
		return utf8.AppendRune(out, r), err
	}
	if s.pos > len(s.data) {
		return nil, s.syntax("EOF while parsing a string")
	}
	return nil, s.syntax("invalid escape")
}

// codePoint reads the digits of \uXXXX and, for a leading surrogate, its pair.
// Half a pair is refused: it is no character, and no UTF-8 can carry it.
func (s *scanner) codePoint() (rune, error) {
	r, err := s.hex4()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if s.at() == '\\' && s.pos+1 < len(s.data) && s.data[s.pos+1] == 'u' {
		s.pos += 2
		low, err := s.hex4()
		if err != nil {
			return 0, err
		}
		if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
			return full, nil
		}
	}
	return 0, s.syntax("lone surrogate in hex escape")
}

func (s *scanner) hex4() (rune, error) {
	if s.pos+4 > len(s.data) {
		s.pos = len(s.data)
		return 0, s.syntax("EOF while parsing a string")
	}
	for _, b := range s.data[s.pos : s.pos+4] {
		if !(b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F') {
			return 0, s.syntax("invalid escape")
		}
	}
	n, err := strconv.ParseUint(string(s.data[s.pos:s.pos+4]), 16, 16)
	s.pos += 4
	return rune(n), err
}
