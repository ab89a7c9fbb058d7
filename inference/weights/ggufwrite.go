package weights

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"reflect"
	"slices"
)

// Pair is a key of a GGUF file with its value, to be written. The value's Go type
// is the type in the file: uint8 … int64, float32, float64, bool, string, or a
// slice of one of these.
type Pair struct {
	Key   string
	Value any
}

// WriteGGUF writes a GGUF file of version 3 to w without ever holding more of the
// tensors than a buffer. Pairs and tensors keep their order; general.alignment, if
// it is among the pairs, is obeyed. fill is called once for each tensor, in order,
// and writes its bytes, row-major, to the writer it is given.
func WriteGGUF(w io.Writer, pairs []Pair, tensors []Spec, fill func(i int, w io.Writer) error) error {
	head, sizes, alignment, err := encodeGGUF(pairs, tensors)
	if err != nil {
		return err
	}
	b := newStretches(w)
	if _, err := b.Write(head); err != nil {
		return fmt.Errorf("weights: writing the header: %w", err)
	}
	zeros := make([]byte, alignment)
	for i, size := range sizes {
		c := &counter{w: b, left: size}
		if err := fill(i, c); err != nil {
			return fmt.Errorf("weights: writing tensor %q: %w", tensors[i].Name, err)
		}
		if c.left != 0 {
			return fmt.Errorf("weights: tensor %q: %d of its %d bytes were not written", tensors[i].Name, c.left, size)
		}
		end, err := alignUp(size, alignment)
		if err == nil {
			_, err = b.Write(zeros[:end-size])
		}
		if err != nil {
			return fmt.Errorf("weights: writing tensor %q: %w", tensors[i].Name, err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("weights: %w", err)
	}
	return nil
}

// encodeGGUF returns everything before the tensors, the bytes of each tensor, and
// the alignment.
func encodeGGUF(pairs []Pair, tensors []Spec) (head []byte, sizes []int64, alignment int64, err error) {
	b := &bytes.Buffer{}
	b.WriteString("GGUF")
	put(b, uint32(3))
	put(b, uint64(len(tensors)))
	put(b, uint64(len(pairs)))
	alignment = defaultAlignment
	seen := map[string]bool{}
	for _, p := range pairs {
		if reason := badName(p.Key); reason != "" || seen[p.Key] {
			return nil, nil, 0, fmt.Errorf("weights: key %q: no key, or there twice", p.Key)
		}
		seen[p.Key] = true
		putText(b, p.Key)
		if err := putValue(b, p.Value); err != nil {
			return nil, nil, 0, fmt.Errorf("weights: key %q: %w", p.Key, err)
		}
		if p.Key == alignmentKey {
			a, ok := p.Value.(uint32)
			if !ok || a < 8 || a > maxAlignment || a&(a-1) != 0 {
				return nil, nil, 0, fmt.Errorf("weights: key %q: %v is no power of two from 8 to %d of type u32", p.Key, p.Value, maxAlignment)
			}
			alignment = int64(a)
		}
	}
	if sizes, err = putInfos(b, tensors, alignment); err != nil {
		return nil, nil, 0, err
	}
	start, err := alignUp(int64(b.Len()), alignment)
	if err != nil || start > maxHeader {
		return nil, nil, 0, fmt.Errorf("weights: a header of %d bytes; at most %d are allowed", b.Len(), maxHeader)
	}
	b.Write(make([]byte, start-int64(b.Len())))
	return b.Bytes(), sizes, alignment, nil
}

// putInfos writes the descriptions of the tensors and returns their sizes.
func putInfos(b *bytes.Buffer, tensors []Spec, alignment int64) ([]int64, error) {
	names := make(map[string]bool, len(tensors))
	sizes := make([]int64, len(tensors))
	var offset int64
	for i, t := range tensors {
		if reason := badName(t.Name); reason != "" || names[t.Name] {
			return nil, fmt.Errorf("weights: tensor %q: not a name, or there twice: %s", t.Name, reason)
		}
		names[t.Name] = true
		id, size, err := t.gguf()
		if err == nil {
			sizes[i] = size
			putText(b, t.Name)
			put(b, uint32(len(t.Shape)))
			for _, d := range slices.Backward(t.Shape) {
				put(b, uint64(d))
			}
			put(b, id)
			put(b, uint64(offset))
			if offset, err = add(offset, size); err == nil {
				offset, err = alignUp(offset, alignment)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("weights: tensor %q: shape %v: %w", t.Name, t.Shape, err)
		}
	}
	return sizes, nil
}

// gguf returns the id of the tensor's type and the bytes it takes.
func (s Spec) gguf() (id uint32, size int64, err error) {
	if !s.Type.Known() {
		return 0, 0, fmt.Errorf("GGUF has no format %v", s.Type)
	}
	id = s.Type.GGML()
	kind := ggufTypes[id]
	if len(s.Shape) < 1 || len(s.Shape) > maxGGUFDims || slices.Min(s.Shape) < 1 {
		return 0, 0, fmt.Errorf("a tensor has 1 to %d dimensions above zero", maxGGUFDims)
	}
	if row := int64(s.Shape[len(s.Shape)-1]); row%kind.block != 0 {
		return 0, 0, fmt.Errorf("rows of %d elements are no whole blocks of the %d of %s", row, kind.block, kind.name)
	}
	elements, err := product(s.Shape)
	if err == nil {
		size, err = mul(elements/kind.block, kind.bytes)
	}
	return id, size, err
}

func put[T uint32 | uint64](b *bytes.Buffer, v T) {
	_ = binary.Write(b, binary.LittleEndian, v) // a Buffer takes everything
}

func putText(b *bytes.Buffer, s string) {
	put(b, uint64(len(s)))
	b.WriteString(s)
}

// putValue writes the type of a value and the value.
func putValue(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case string:
		put(b, uint32(ggufString))
		putText(b, v)
		return nil
	case []string:
		put(b, uint32(ggufArray))
		put(b, uint32(ggufString))
		put(b, uint64(len(v)))
		for _, s := range v {
			putText(b, s)
		}
		return nil
	}
	kind, count, ok := kindOf(v)
	if !ok {
		return fmt.Errorf("GGUF has no values of type %T", v)
	}
	if count >= 0 {
		put(b, uint32(ggufArray))
	}
	put(b, uint32(kind))
	if count >= 0 {
		put(b, uint64(count))
	}
	return binary.Write(b, binary.LittleEndian, v)
}

// kindOf returns the type of a number or bool, or of the elements of a slice of
// them, whose length is count; count is -1 for a value alone.
func kindOf(v any) (kind ggufKind, count int, ok bool) {
	for k, example := range [ggufKinds]any{
		ggufU8: []uint8(nil), ggufI8: []int8(nil), ggufU16: []uint16(nil), ggufI16: []int16(nil), ggufU32: []uint32(nil), ggufI32: []int32(nil),
		ggufF32: []float32(nil), ggufBool: []bool(nil), ggufU64: []uint64(nil), ggufI64: []int64(nil), ggufF64: []float64(nil),
	} {
		if example == nil {
			continue
		}
		slice := reflect.TypeOf(example)
		switch reflect.TypeOf(v) {
		case slice:
			return ggufKind(k), reflect.ValueOf(v).Len(), true
		case slice.Elem():
			return ggufKind(k), -1, true
		}
	}
	return 0, 0, false
}
