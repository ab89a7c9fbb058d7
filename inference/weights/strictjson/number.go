package strictjson

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Num is the text of a number.
type Num string

// Number consumes a number and returns its text.
func (s *Scanner) Number() (Num, error) {
	if s.Kind() != Number {
		return "", s.wrong("a number")
	}
	if err := s.count(); err != nil {
		return "", err
	}
	start := s.pos
	if s.text[s.pos] == '-' {
		s.pos++
	}
	if n := s.digits(); n == 0 {
		return "", s.errorf("a number without digits")
	} else if n > 1 && s.text[s.pos-n] == '0' {
		return "", &Error{s.pos - n, "a number with a leading zero"}
	}
	if s.pos < len(s.text) && s.text[s.pos] == '.' {
		s.pos++
		if s.digits() == 0 {
			return "", s.errorf("no digits after the point")
		}
	}
	if s.pos < len(s.text) && s.text[s.pos]|0x20 == 'e' {
		s.pos++
		if s.pos < len(s.text) && (s.text[s.pos] == '+' || s.text[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			return "", s.errorf("no digits in the exponent")
		}
	}
	return Num(s.text[start:s.pos]), nil
}

func (s *Scanner) digits() int {
	start := s.pos
	for s.pos < len(s.text) && '0' <= s.text[s.pos] && s.text[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

// Int is the value of a number written as an integer.
func (n Num) Int() (int64, error) {
	if strings.ContainsAny(string(n), ".eE") {
		return 0, fmt.Errorf("%s is not written as an integer", shorten(string(n)))
	}
	v, err := strconv.ParseInt(string(n), 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%s does not fit 64 bits", shorten(string(n)))
	}
	return v, err
}

// Float is the nearest float64; a number beyond its range is an error.
func (n Num) Float() (float64, error) {
	v, err := strconv.ParseFloat(string(n), 64)
	if math.IsInf(v, 0) {
		return 0, fmt.Errorf("%s is beyond the range of a float", shorten(string(n)))
	}
	return v, err
}

func shorten(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}
