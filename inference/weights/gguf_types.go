package weights

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"llorch/inference/tensor"
)

// ggufType is one tensor type of GGUF and the block it consists of.
type ggufType struct {
	name  string
	block int64        // elements of a block
	bytes int64        // of a block
	dtype tensor.DType // 0: package tensor cannot compute with it
}

// ggufTypes are the types that may be in a file, by id: those that package tensor
// knows, and others with the sizes of the published block definitions, so that the
// span of a tensor can be checked and its format named.
var ggufTypes = map[uint32]ggufType{
	16: {"IQ2_XXS", 256, 66, 0}, 17: {"IQ2_XS", 256, 74, 0}, 18: {"IQ3_XXS", 256, 98, 0},
	19: {"IQ1_S", 256, 50, 0}, 20: {"IQ4_NL", 32, 18, 0}, 21: {"IQ3_S", 256, 110, 0},
	22: {"IQ2_S", 256, 82, 0}, 23: {"IQ4_XS", 256, 136, 0}, 29: {"IQ1_M", 256, 56, 0},
	24: {"I8", 1, 1, 0}, 25: {"I16", 1, 2, 0}, 26: {"I32", 1, 4, 0}, 27: {"I64", 1, 8, 0}, 28: {"F64", 1, 8, 0},
	34: {"TQ1_0", 256, 54, 0}, 35: {"TQ2_0", 256, 66, 0},
	39: {"MXFP4", 32, 17, 0}, 40: {"NVFP4", 64, 36, 0}, 41: {"Q1_0", 128, 18, 0},
}

// ggufGone are ids that once were types, or are types of values that are never
// stored, with what is to be said of them.
var ggufGone = map[uint32]string{
	4: "Q4_2, which was removed from the format", 5: "Q4_3, which was removed from the format",
	9: "Q8_1, which is for values while computing and not for files", 15: "Q8_K, which is for values while computing and not for files",
	31: "Q4_0_4_4, which was removed from the format", 32: "Q4_0_4_8, which was removed from the format", 33: "Q4_0_8_8, which was removed from the format",
	36: "IQ4_NL_4_4, which was removed from the format", 37: "IQ4_NL_4_8, which was removed from the format", 38: "IQ4_NL_8_8, which was removed from the format",
}

func init() {
	for d := tensor.F32; d.Known(); d++ {
		ggufTypes[d.GGML()] = ggufType{d.String(), int64(d.Block()), int64(d.BlockBytes()), d}
	}
}

// spoiled returns where in b, from byte first on in steps of a block, a binary16
// scale is NaN or ±Inf, -1 if none is.
func spoiled(b []byte, first, step int64) int64 {
	at := first
	for span := 7*step + 2; at+span <= int64(len(b)); at += 8 * step {
		// No branch a scale, and no check of bounds: eight that lie in b are looked at together.
		p := unsafe.Pointer(&b[at])
		if (fullAt(p, 0)|fullAt(p, step)|fullAt(p, 2*step)|fullAt(p, 3*step)|
			fullAt(p, 4*step)|fullAt(p, 5*step)|fullAt(p, 6*step)|fullAt(p, 7*step))&0x8000 != 0 {
			break
		}
	}
	for ; at+2 <= int64(len(b)); at += step {
		if full16(b[at:])&0x8000 != 0 {
			return at
		}
	}
	return -1
}

// fullAt is full16 of the scale that lies so far behind p.
func fullAt(p unsafe.Pointer, offset int64) uint32 {
	return uint32(binary.LittleEndian.Uint16((*[2]byte)(unsafe.Add(p, offset))[:]))&0x7c00 + 0x0400
}

// full16 has its bit 15 set where the exponent of the f16 at b has all bits set.
func full16(b []byte) uint16 { return binary.LittleEndian.Uint16(b)&0x7c00 + 0x0400 }

// Spoiled returns an error, without a file or tensor, if a block of b, whole blocks
// of format d, has a scale that is no finite number: its elements were none, or too
// large for a scale in binary16.
func Spoiled(d tensor.DType, b []byte) error {
	for _, scale := range d.Scales() {
		if at := spoiled(b, int64(scale), int64(d.BlockBytes())); at >= 0 {
			block := int(at) / d.BlockBytes()
			return fmt.Errorf("elements %d to %d are too large for the scale of a block of %v, or are no numbers", block*d.Block(), (block+1)*d.Block()-1, d)
		}
	}
	return nil
}

// finiteBlocks searches b, the bytes of the file from byte `from` on, all of t, for
// blocks with a scale that is NaN or ±Inf. Blocks may begin before them and end behind;
// from and to are even offsets into t, as blocks and scales are.
func (t *Tensor) finiteBlocks(f *File, b []byte, from int64) error {
	bytes, elements := int64(t.Type.BlockBytes()), int64(t.Type.Block())
	for _, offset := range t.Type.Scales() {
		scale := t.Offset + int64(offset)
		first := scale + (max(from-scale, 0)+bytes-1)/bytes*bytes
		at := spoiled(b, first-from, bytes)
		if at < 0 {
			continue
		}
		name := floatFormats["F16"].name(b[at:])
		at += from
		block := (at - t.Offset) / bytes
		return &Error{File: f.Path, Tensor: t.Name, Offset: at, Reason: fmt.Sprintf(
			"the scale of elements %d to %d is %s, and weights must be numbers; the file is damaged, or was made of weights that were not numbers "+
				"(--verify-weights off loads it all the same)", block*elements, (block+1)*elements-1, name)}
	}
	return nil
}
