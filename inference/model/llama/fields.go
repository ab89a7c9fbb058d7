package llama

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"llorch/inference/weights/strictjson"
)

// fields reads the fields of one JSON object with transformers' defaults. It
// keeps the first error, so that a reader needs to look once, at the end.
type fields struct {
	file  string
	path  string // of the object in the file: "" or "rope_scaling."
	obj   *strictjson.Value
	asked map[string]bool
	err   error
}

// limits is far above any real config and keeps the tree of the worst below
// 64 MiB.
var limits = strictjson.Limits{Values: 1 << 16, Members: 1 << 15}

// parseObject parses a file that holds one object.
func parseObject(file string, text []byte) (*fields, error) {
	v, err := strictjson.Parse(string(text), limits)
	if err != nil {
		return nil, &ConfigError{File: file, Reason: "malformed", Err: err}
	}
	if v.Kind != strictjson.Object {
		return nil, &ConfigError{File: file, Reason: v.Kind.String() + " where an object belongs"}
	}
	return &fields{file: file, obj: v, asked: map[string]bool{}}, nil
}

// sub returns the fields of a nested object.
func (f *fields) sub(name string, v *strictjson.Value) *fields {
	return &fields{file: f.file, path: f.path + name + ".", obj: v, asked: map[string]bool{}}
}

func (f *fields) fail(name, format string, args ...any) {
	if f.err == nil {
		f.err = &ConfigError{File: f.file, Field: f.path + name, Reason: fmt.Sprintf(format, args...)}
	}
}

// get returns the value of a field; nil where it is absent.
func (f *fields) get(name string) *strictjson.Value {
	f.asked[name] = true
	return f.obj.Get(name)
}

// some is get, null taken for absent.
func (f *fields) some(name string) *strictjson.Value {
	if v := f.get(name); v != nil && v.Kind != strictjson.Null {
		return v
	}
	return nil
}

// integer reads an integer from lo to hi. Null is an error: transformers
// refuses it too, or fails on it later.
func (f *fields) integer(name string, byDefault, lo, hi int) int {
	v := f.get(name)
	if v == nil {
		return byDefault
	}
	return f.integerOf(name, v, lo, hi)
}

// optional is integer for a field that may be null, which is the default too.
func (f *fields) optional(name string, byDefault, lo, hi int) int {
	v := f.some(name)
	if v == nil {
		return byDefault
	}
	return f.integerOf(name, v, lo, hi)
}

func (f *fields) integerOf(name string, v *strictjson.Value, lo, hi int) int {
	if v.Kind != strictjson.Number {
		f.fail(name, "%v where an integer belongs", v.Kind)
		return lo
	}
	n, err := v.Num().Int()
	switch {
	case err != nil:
		f.fail(name, "%v", err)
	case n < int64(lo) || n > int64(hi):
		f.fail(name, "%d is not from %d to %d", n, lo, hi)
	default:
		return int(n)
	}
	return lo
}

// positive reads a number above zero that float32 can hold, with room for a
// product; null and absent are the default.
func (f *fields) positive(name string, byDefault float64) float64 {
	v := f.some(name)
	if v == nil {
		return byDefault
	}
	x := f.number(name, v)
	if f.err == nil && x <= 0 {
		f.fail(name, "%v is not above zero", x)
	}
	if f.err == nil && (x < 1e-30 || x > 1e30) {
		f.fail(name, "%v is not from 1e-30 to 1e30", x)
	}
	return x
}

func (f *fields) number(name string, v *strictjson.Value) float64 {
	if v.Kind != strictjson.Number {
		f.fail(name, "%v where a number belongs", v.Kind)
		return math.NaN()
	}
	x, err := v.Num().Float()
	if err != nil {
		f.fail(name, "%v", err)
	}
	return x
}

func (f *fields) boolean(name string, byDefault bool) bool {
	v := f.some(name)
	if v == nil {
		return byDefault
	}
	if v.Kind != strictjson.Bool {
		f.fail(name, "%v where true or false belongs", v.Kind)
	}
	return v.Text == "true"
}

func (f *fields) text(name, byDefault string) string {
	v := f.some(name)
	if v == nil {
		return byDefault
	}
	if v.Kind != strictjson.String {
		f.fail(name, "%v where a string belongs", v.Kind)
		return byDefault
	}
	return v.Text
}

// texts reads a list of at most limit strings; nil where absent or null.
func (f *fields) texts(name string, limit int) []string {
	v := f.some(name)
	if v == nil {
		return nil
	}
	if v.Kind != strictjson.Array || len(v.Elems) > limit {
		f.fail(name, "not a list of at most %d strings", limit)
		return nil
	}
	list := make([]string, 0, len(v.Elems))
	for _, e := range v.Elems {
		if e.Kind != strictjson.String {
			f.fail(name, "%v in a list of strings", e.Kind)
		}
		list = append(list, e.Text)
	}
	return list
}

// done refuses other spellings of what was read: a reader that folds case, as
// many do, would see another model than this one. It returns the first error.
func (f *fields) done() error {
	names := slices.Sorted(maps.Keys(f.asked))
	for i := range f.obj.Members {
		key := f.obj.Members[i].Key
		if f.asked[key] {
			continue
		}
		for _, name := range names {
			if strictjson.SameFold(key, name) {
				f.fail(name, "also spelled %s; one reader would take one, the next the other", strictjson.Quote(key))
			}
		}
	}
	return f.err
}
