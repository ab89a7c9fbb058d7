package tokenize

// Bounds on a vocabulary. The largest known ones have 262,144 tokens, the longest tokens a few hundred bytes, and merges
// outnumber tokens by at most two to one.
const (
	maxTokens     = 1 << 21
	maxMerges     = 1 << 21
	maxTokenBytes = 4 << 10
)

// vocabulary is what each id stands for. Ids run from 0 without a gap; added tokens come on top of those of the model.
type vocabulary struct {
	ids     map[string]int32
	tokens  []string
	special []bool // control tokens: skipped when decoding
}

func (v *vocabulary) token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(v.tokens) {
		return "", false
	}
	return v.tokens[id], true
}

// readVocab reads model.vocab. An id is only checked against the number of tokens once all are known, so nothing is
// allocated from a number in the file.
func readVocab(r *reader) (*vocabulary, error) {
	v := &vocabulary{ids: map[string]int32{}}
	highest, at := int64(-1), 0
	err := r.members(func(key []byte) error {
		if len(key) > maxTokenBytes {
			return r.fail("token %q has %d bytes, at most %d are allowed", clip(string(key)), len(key), maxTokenBytes)
		}
		if len(v.ids) == maxTokens {
			return r.fail("more than %d tokens", maxTokens)
		}
		token := string(key)
		if _, twice := v.ids[token]; twice {
			return r.fail("token %q appears twice", clip(token))
		}
		id, err := r.id()
		if err != nil {
			return err
		}
		if id > highest {
			highest, at = id, r.i
		}
		v.ids[token] = int32(id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if highest >= int64(len(v.ids)) {
		r.i = at
		return nil, r.fail("id %d with only %d tokens: ids must run from 0 without a gap", highest, len(v.ids))
	}
	return v, v.index()
}

// index fills tokens from ids; with no id past the end, a gap and an id used twice are the same fault.
func (v *vocabulary) index() error {
	v.tokens = make([]string, len(v.ids))
	v.special = make([]bool, len(v.ids))
	used := make([]bool, len(v.ids))
	for token, id := range v.ids {
		if used[id] {
			return refuse("", "id %d belongs to both %q and %q", id, clip(token), clip(v.tokens[id]))
		}
		used[id] = true
		v.tokens[id] = token
	}
	return nil
}

// id reads a token id: a whole number from 0 to 2^31-1, since the engine and the wire hold ids in 32 bits with a sign.
func (r *reader) id() (int64, error) {
	r.space()
	start := r.i
	text, err := r.number()
	if err != nil {
		return 0, err
	}
	id, ok := parseID(text)
	if !ok {
		r.i = start
		return 0, r.fail("%s is not a token id: a whole number from 0 to 2147483647 is due", clip(text))
	}
	return id, nil
}

func parseID(text string) (int64, bool) {
	if len(text) == 0 || len(text) > 10 {
		return 0, false
	}
	id := int64(0)
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		id = id*10 + int64(c-'0')
	}
	return id, id <= 1<<31-1
}

// checkMerges reads model.merges, either spelling ("a b" and ["a", "b"]), and checks that both parts and their join are
// tokens. Joins are longer than their parts, so merges cannot form a cycle.
func (v *vocabulary) checkMerges(r *reader) error {
	var joined []byte
	return r.array(func(i int) error {
		if i == maxMerges {
			return r.fail("more than %d merges", maxMerges)
		}
		left, err := readMerge(r, joined[:0])
		if err != nil {
			return err
		}
		joined = left.text
		_, a := v.ids[string(joined[:left.split])]
		_, b := v.ids[string(joined[left.split:])]
		_, ab := v.ids[string(joined)]
		if !a || !b || !ab {
			return r.fail("merge %d of %q and %q names no token", i, clip(string(joined[:left.split])), clip(string(joined[left.split:])))
		}
		return nil
	})
}

// merge is both parts of a merge without what separated them.
type merge struct {
	text  []byte
	split int
}

func readMerge(r *reader, buf []byte) (merge, error) {
	if r.peek() == '[' {
		m := merge{text: buf}
		parts := 0
		err := r.array(func(i int) error {
			if i == 1 {
				m.split = len(m.text)
			}
			parts++
			part, err := r.str()
			m.text = append(m.text, part...)
			return err
		})
		if err == nil && parts != 2 {
			err = r.fail("a merge of %d parts instead of two", parts)
		}
		return m, err
	}
	line, err := r.str()
	if err != nil {
		return merge{}, err
	}
	split := -1
	for i, c := range line {
		if c == ' ' {
			if split >= 0 {
				return merge{}, r.fail("merge %q has more than two parts", clip(string(line)))
			}
			split = i
		}
	}
	if split < 0 {
		return merge{}, r.fail("merge %q has no second part", clip(string(line)))
	}
	return merge{text: append(append(buf, line[:split]...), line[split+1:]...), split: split}, nil
}
