package strictjson

// Value is one value of a parsed text.
type Value struct {
	Kind    Kind
	At      int      // its first byte
	Text    string   // of a string, decoded; of a number or a literal, as written
	Members []Member // of an object, in the text's order
	Elems   []Value  // of an array
}

// Member is one key of an object.
type Member struct {
	Key   string
	At    int // the key's first byte
	Value Value
}

// Parse builds the tree of a text. A value takes about a hundred bytes, so a
// text of unknown origin is bounded by Limits.Values, not by its length alone.
func Parse(text string, l Limits) (*Value, error) {
	s, err := New(text, l)
	if err != nil {
		return nil, err
	}
	v, err := s.value()
	if err != nil {
		return nil, err
	}
	return &v, s.End()
}

// Get returns the value of key, nil where v has none or is no object.
func (v *Value) Get(key string) *Value {
	for i := range v.Members {
		if v.Members[i].Key == key {
			return &v.Members[i].Value
		}
	}
	return nil
}

// Num is the text of a number.
func (v *Value) Num() Num { return Num(v.Text) }

func (s *Scanner) value() (Value, error) {
	v := Value{Kind: s.Kind(), At: s.Offset()}
	var err error
	switch v.Kind {
	case Object:
		err = s.Object(func(key string, at int) error {
			m, err := s.value()
			v.Members = append(v.Members, Member{key, at, m})
			return err
		})
	case Array:
		err = s.Array(func(int) error {
			e, err := s.value()
			v.Elems = append(v.Elems, e)
			return err
		})
	case String:
		v.Text, err = s.String()
	case Number:
		var n Num
		n, err = s.Number()
		v.Text = string(n)
	default:
		v.Text, err = s.Literal()
	}
	return v, err
}
