package agent

// skip passes over one value of any shape. It keeps its own stack: a body of
// two million brackets must not become two million stack frames.
func (s *scanner) skip() error {
	var open []byte // the closing brackets still owed
	for {
		var err error
		switch b := s.peek(); {
		case b == '{' || b == '[':
			s.pos++
			shut := b + 2 // in ASCII, both pairs
			if s.peek() == shut {
				s.pos++
				break
			}
			open = append(open, shut)
			if err := s.key(shut); err != nil {
				return err
			}
			continue
		case b == '"':
			_, err = s.str()
		case b == '-' || b >= '0' && b <= '9':
			_, _, err = s.number()
		case b == 'n':
			err = s.literal("null")
		case b == 't':
			err = s.literal("true")
		case b == 'f':
			err = s.literal("false")
		case s.pos >= len(s.data):
			return s.syntax("EOF while parsing a value")
		default:
			return s.syntax("expected value")
		}
		if err != nil {
			return err
		}
		if open, err = s.unwind(open); err != nil || len(open) == 0 {
			return err
		}
	}
}

// unwind closes what ends here and steps over the comma to the next value.
func (s *scanner) unwind(open []byte) ([]byte, error) {
	for len(open) > 0 {
		shut := open[len(open)-1]
		switch s.peek() {
		case shut:
			s.pos++
			open = open[:len(open)-1]
		case ',':
			s.pos++
			return open, s.key(shut)
		case 0:
			return nil, s.syntax("EOF while parsing a value")
		default:
			return nil, s.syntax("expected `,` or `%c`", shut)
		}
	}
	return nil, nil
}

// key reads a member's name and colon where the enclosing value is an object.
func (s *scanner) key(shut byte) error {
	if shut != '}' {
		return nil
	}
	if err := s.quote(); err != nil {
		return err
	}
	if _, err := s.str(); err != nil {
		return err
	}
	return s.expect(':', "an object")
}
