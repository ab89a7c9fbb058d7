package weights

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// floatFormat is how a format marks what is no number: all bits of the exponent
// are set. Lanes are of bits bits each, in a word of 64.
type floatFormat struct {
	bits     int
	exponent uint64 // the bits of the exponent in every lane
	unit     uint64 // its lowest bit: added to a full exponent it carries into the sign
	sign     uint64
}

var floatFormats = map[string]floatFormat{
	"F16":  {16, 0x7c00_7c00_7c00_7c00, 0x0400_0400_0400_0400, 0x8000_8000_8000_8000},
	"BF16": {16, 0x7f80_7f80_7f80_7f80, 0x0080_0080_0080_0080, 0x8000_8000_8000_8000},
	"F32":  {32, 0x7f80_0000_7f80_0000, 0x0080_0000_0080_0000, 0x8000_0000_8000_0000},
	"F64":  {64, 0x7ff0_0000_0000_0000, 0x0010_0000_0000_0000, 0x8000_0000_0000_0000},
}

// full tells whether a lane of word has a full exponent.
func (f floatFormat) full(word uint64) bool { return (word&f.exponent+f.unit)&f.sign != 0 }

// sieve is the stretch whose words are or-ed together before anything is looked
// at. Weights are small: if no lane of the union has a full exponent, no word
// has, and that costs one operation a word. Else each word is looked at.
const sieve = 4 << 10

// finite searches b, the bytes of f from byte `from` on; all are the tensors of f by offset.
func finite(f *File, all []*Tensor, b []byte, from int64) error {
	to := from + int64(len(b))
	first := sort.Search(len(all), func(i int) bool { return all[i].Offset+all[i].Bytes > from })
	for _, t := range all[first:] {
		start, end := max(from, t.Offset), min(to, t.Offset+t.Bytes)
		if t.Offset >= to {
			break
		}
		if start >= end {
			continue
		}
		if err := t.finite(f, b[start-from:end-from], start); err != nil {
			return err
		}
	}
	return nil
}

// finite searches b, the bytes of the file from byte `from` on, all of t, for NaN and
// ±Inf.
func (t *Tensor) finite(f *File, b []byte, from int64) error {
	if len(t.Type.Scales()) > 0 {
		return t.finiteBlocks(f, b, from)
	}
	format, ok := floatFormats[t.Format]
	if !ok {
		return nil
	}
	if at := format.search(b); at >= 0 {
		element := (from - t.Offset + int64(at)) / int64(format.bits/8)
		return &Error{File: f.Path, Tensor: t.Name, Offset: from + int64(at), Reason: fmt.Sprintf(
			"element %d of its %d is %s, and weights must be numbers; the file is damaged, or was written by a training that failed "+
				"(--verify-weights off loads it all the same)", element, t.Bytes*8/int64(format.bits), format.name(b[at:]))}
	}
	return nil
}

// search returns where in b, whole elements, the first one with a full exponent
// begins, or -1.
func (f floatFormat) search(b []byte) int {
	at := 0
	for ; len(b)-at >= sieve; at += sieve {
		if p := b[at : at+sieve]; f.full(union(p)) {
			if found := f.each(p); found >= 0 {
				return at + found
			}
		}
	}
	if found := f.each(b[at:]); found >= 0 {
		return at + found
	}
	return -1
}

// union ors the words of b, a multiple of 64 bytes, together.
func union(b []byte) uint64 {
	var u, v, w, x uint64
	for ; len(b) >= 64; b = b[64:] {
		p := (*[64]byte)(b)
		u |= binary.LittleEndian.Uint64(p[0:]) | binary.LittleEndian.Uint64(p[32:])
		v |= binary.LittleEndian.Uint64(p[8:]) | binary.LittleEndian.Uint64(p[40:])
		w |= binary.LittleEndian.Uint64(p[16:]) | binary.LittleEndian.Uint64(p[48:])
		x |= binary.LittleEndian.Uint64(p[24:]) | binary.LittleEndian.Uint64(p[56:])
	}
	return u | v | w | x
}

// each looks at every element of b.
func (f floatFormat) each(b []byte) int {
	size := f.bits / 8
	at := 0
	for ; len(b)-at >= 8; at += 8 {
		if f.full(binary.LittleEndian.Uint64(b[at:])) {
			break
		}
	}
	for ; len(b)-at >= size; at += size {
		if f.full(f.element(b[at:])) {
			return at
		}
	}
	return -1
}

// element is the first element of b, in the lowest lane.
func (f floatFormat) element(b []byte) uint64 {
	switch f.bits {
	case 16:
		return uint64(binary.LittleEndian.Uint16(b))
	case 32:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

// name is what the first element of b is called, which has a full exponent.
func (f floatFormat) name(b []byte) string {
	e := f.element(b)
	lane := ^uint64(0) >> (64 - f.bits)
	switch {
	case e&lane&^f.exponent&^f.sign != 0:
		return "NaN"
	case e&f.sign != 0:
		return "-Inf"
	}
	return "+Inf"
}
