package tokenize

import "unicode/utf8"

// Stream decodes ids one at a time. The pieces joined are exactly Decode of the same ids: each is whole UTF-8, bytes of an
// unfinished character wait for the next token, bytes that can never become one are dropped. A Stream is for one
// goroutine; it needs no Close and survives that of its Tokenizer.
type Stream struct {
	d       *decoder
	started bool              // a token has been shown
	strips  int               // characters still to be dropped at the start of the text
	held    [utf8.UTFMax]byte // beginning of a character
	n       int               // bytes in held
	joined  []byte            // held and a new piece
	out     []byte            // text of one Push
}

func newStream(d *decoder) *Stream { return &Stream{d: d, strips: d.strips} }

// Push adds a token and returns the text that became final with it, often one token's worth and sometimes none. Control
// tokens and ids outside the vocabulary have no text.
func (s *Stream) Push(id int32) string {
	s.out = s.push(s.out[:0], id)
	return string(s.out)
}

// Flush ends the text. The bytes of a character that never got finished are dropped, so today it returns "" always; callers
// emit what it returns all the same.
func (s *Stream) Flush() string {
	s.n = 0
	return ""
}

func (s *Stream) push(dst []byte, id int32) []byte {
	if !s.d.shown(id) {
		return dst
	}
	first := !s.started
	s.started = true
	if first && s.d.first {
		return s.write(dst, []byte(s.d.apply(s.d.vocab.tokens[id], true)))
	}
	if !first && s.d.between != "" {
		dst = s.write(dst, []byte(s.d.between))
	}
	return s.write(dst, s.d.piece(id))
}

// write appends to dst the whole characters of what is held and p. U+FFFD is dropped even where a token spells it out:
// clients take it for a decoding fault.
func (s *Stream) write(dst, p []byte) []byte {
	if s.n > 0 {
		s.joined = append(append(s.joined[:0], s.held[:s.n]...), p...)
		p, s.n = s.joined, 0
	}
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && !utf8.FullRune(p):
			s.n = copy(s.held[:], p)
			return dst
		case r == utf8.RuneError:
			s.strips = 0
		case s.strips > 0 && r == s.d.strip:
			s.strips--
		default:
			s.strips = 0
			dst = append(dst, p[:size]...)
		}
		p = p[size:]
	}
	return dst
}
