package weights

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"
	"unsafe"

	"llorch/inference/weights/strictjson"
)

// Metadata is what a GGUF file says of its model: keys with typed values. Of
// arrays only the place is kept; they are read from the file when asked for.
// Errors are *Error that name the file, the key and the byte.
type Metadata struct {
	file  string
	src   io.ReaderAt
	pairs []ggufPair
	byKey map[string]int
}

// ggufKind is the type of a value, as the file spells it.
type ggufKind uint32

const (
	ggufU8 ggufKind = iota
	ggufI8
	ggufU16
	ggufI16
	ggufU32
	ggufI32
	ggufF32
	ggufBool
	ggufString
	ggufArray
	ggufU64
	ggufI64
	ggufF64
	ggufKinds // how many there are
)

var kindNames = [ggufKinds]string{"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"}

// kindBytes is the size of a value, 0 where it varies.
var kindBytes = [ggufKinds]int64{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

func (k ggufKind) String() string {
	if k < ggufKinds {
		return kindNames[k]
	}
	return fmt.Sprintf("type %d", uint32(k))
}

func (k ggufKind) integer() bool { return k < ggufF32 || k == ggufU64 || k == ggufI64 }

// ggufPair is a key with its value.
type ggufPair struct {
	key  string
	kind ggufKind
	at   int64  // of the value, or of an array's elements
	bits uint64 // of a number or bool, as in the file
	text string // of a string

	elem         ggufKind // of an array
	count, bytes int64    // its elements, and all they take
}

// is says what the value is, for errors.
func (p *ggufPair) is() string {
	if p.kind == ggufArray {
		return fmt.Sprintf("an array of %d %v", p.count, p.elem)
	}
	return "a value of type " + p.kind.String()
}

// Keys returns all keys in the order of the file.
func (m *Metadata) Keys() []string {
	keys := make([]string, len(m.pairs))
	for i := range m.pairs {
		keys[i] = m.pairs[i].key
	}
	return keys
}

// Has tells whether the file has the key.
func (m *Metadata) Has(key string) bool {
	_, ok := m.byKey[key]
	return ok
}

// IsArray tells whether the key's value is an array.
func (m *Metadata) IsArray(key string) bool {
	i, ok := m.byKey[key]
	return ok && m.pairs[i].kind == ggufArray
}

// Fail is an error about the value of a key, or about its absence.
func (m *Metadata) Fail(key, format string, args ...any) *Error {
	e := &Error{File: m.file, Key: key, Offset: -1, Reason: fmt.Sprintf(format, args...)}
	if i, ok := m.byKey[key]; ok {
		e.Offset = m.pairs[i].at
	}
	return e
}

// errNoKey is the Err of an error about a key that is missing.
var errNoKey = fmt.Errorf("the file has no such key: %w", fs.ErrNotExist)

func (m *Metadata) pair(key string) (*ggufPair, error) {
	i, ok := m.byKey[key]
	if !ok {
		return nil, &Error{File: m.file, Key: key, Offset: -1, Reason: "missing", Err: errNoKey}
	}
	return &m.pairs[i], nil
}

// Int returns an integer of any width.
func (m *Metadata) Int(key string) (int64, error) {
	p, err := m.pair(key)
	if err != nil {
		return 0, err
	}
	if !p.kind.integer() {
		return 0, m.Fail(key, "%s where an integer belongs", p.is())
	}
	v, ok := p.kind.int(p.bits)
	if !ok {
		return 0, m.Fail(key, "%d is more than %d", p.bits, int64(math.MaxInt64))
	}
	return v, nil
}

// Float returns a floating-point number of either width.
func (m *Metadata) Float(key string) (float64, error) {
	p, err := m.pair(key)
	switch {
	case err != nil:
		return 0, err
	case p.kind == ggufF32:
		return float64(math.Float32frombits(uint32(p.bits))), nil
	case p.kind == ggufF64:
		return math.Float64frombits(p.bits), nil
	}
	return 0, m.Fail(key, "%s where a floating-point number belongs", p.is())
}

// Bool returns a truth value.
func (m *Metadata) Bool(key string) (bool, error) {
	p, err := m.pair(key)
	if err == nil && p.kind != ggufBool {
		err = m.Fail(key, "%s where a bool belongs", p.is())
	}
	return err == nil && p.bits != 0, err
}

// Text returns a string.
func (m *Metadata) Text(key string) (string, error) {
	p, err := m.pair(key)
	if err != nil {
		return "", err
	}
	if p.kind != ggufString {
		return "", m.Fail(key, "%s where a string belongs", p.is())
	}
	return p.text, nil
}

// Texts returns an array of strings. They share one piece of memory.
func (m *Metadata) Texts(key string) ([]string, error) {
	texts := []string{}
	err := m.EachText(key, func(i, n int, text string) {
		if i == 0 {
			texts = make([]string, 0, n)
		}
		texts = append(texts, text)
	})
	if err != nil {
		return nil, err
	}
	return texts, nil
}

// EachText calls f with each of the n strings of an array, in order. They share one
// piece of memory.
func (m *Metadata) EachText(key string, f func(i, n int, text string)) error {
	p, raw, err := m.array(key, "strings", func(k ggufKind) bool { return k == ggufString })
	if err != nil {
		return err
	}
	all := unsafe.String(unsafe.SliceData(raw), len(raw)) // raw is not written to again
	for i := range int(p.count) {
		if len(raw) < 8 || binary.LittleEndian.Uint64(raw) > uint64(len(raw)-8) {
			return &Error{File: m.file, Key: key, Offset: p.at, Reason: "the strings are not those of Open any more", Err: ErrChanged}
		}
		n := int(binary.LittleEndian.Uint64(raw))
		f(i, int(p.count), all[8:8+n])
		raw, all = raw[8+n:], all[8+n:]
	}
	return nil
}

// Ints returns an array of integers of any width.
func (m *Metadata) Ints(key string) ([]int64, error) {
	p, raw, err := m.array(key, "integers", ggufKind.integer)
	if err != nil {
		return nil, err
	}
	ints, size := make([]int64, p.count), kindBytes[p.elem]
	for i := range ints {
		var word [8]byte
		copy(word[:], raw[int64(i)*size:][:size])
		bits, ok := binary.LittleEndian.Uint64(word[:]), true
		if ints[i], ok = p.elem.int(bits); !ok {
			return nil, m.Fail(key, "element %d, %d, is more than %d", i, bits, int64(math.MaxInt64))
		}
	}
	return ints, nil
}

// Float32s returns an array of f32.
func (m *Metadata) Float32s(key string) ([]float32, error) {
	p, raw, err := m.array(key, "f32", func(k ggufKind) bool { return k == ggufF32 })
	if err != nil {
		return nil, err
	}
	floats := make([]float32, p.count)
	for i := range floats {
		floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return floats, nil
}

// Bools returns an array of truth values.
func (m *Metadata) Bools(key string) ([]bool, error) {
	p, raw, err := m.array(key, "bools", func(k ggufKind) bool { return k == ggufBool })
	if err != nil {
		return nil, err
	}
	bools := make([]bool, p.count)
	for i := range bools {
		bools[i] = raw[i] != 0
	}
	return bools, nil
}

// array reads the elements of an array, whose number and bytes Open has found to
// be in the file.
func (m *Metadata) array(key, of string, fits func(ggufKind) bool) (*ggufPair, []byte, error) {
	p, err := m.pair(key)
	if err != nil {
		return nil, nil, err
	}
	if p.kind != ggufArray || !fits(p.elem) {
		return nil, nil, m.Fail(key, "%s where an array of %s belongs", p.is(), of)
	}
	raw := make([]byte, p.bytes)
	if n, err := m.src.ReadAt(raw, p.at); n < len(raw) {
		return nil, nil, &Error{File: m.file, Key: key, Offset: p.at + int64(n), Reason: "cannot be read", Err: err}
	}
	return p, raw, nil
}

// int widens an integer of kind k; ok is false for what is above MaxInt64.
func (k ggufKind) int(bits uint64) (v int64, ok bool) {
	switch k {
	case ggufI8:
		return int64(int8(bits)), true
	case ggufI16:
		return int64(int16(bits)), true
	case ggufI32:
		return int64(int32(bits)), true
	case ggufI64:
		return int64(bits), true
	}
	return int64(bits), bits <= math.MaxInt64
}

// shown writes a number or string for people.
func (m *Metadata) shown(key string) string {
	p, err := m.pair(key)
	switch {
	case err != nil:
		return "nothing"
	case p.kind == ggufString:
		return strictjson.Quote(p.text)
	case p.kind.integer():
		v, _ := p.kind.int(p.bits)
		return strconv.FormatInt(v, 10)
	}
	return p.is()
}
