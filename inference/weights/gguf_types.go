package weights

import (
	"encoding/binary"
	"fmt"

	"llorch/inference/tensor"
)

// ggufType is one tensor type of GGUF: the block it consists of, and where in a
// block the binary16 scales lie that make NaN of all its elements if they are one.
type ggufType struct {
	name   string
	block  int64        // elements of a block
	bytes  int64        // of a block
	dtype  tensor.DType // 0: package tensor cannot compute with it
	scales []int64      // offsets in the block
}

// ggufTypes are the types that may be in a file, by id. The sizes are those of
// the published block definitions. Types without a DType are there so that the
// span of a tensor can be checked and its format named.
var ggufTypes = map[uint32]ggufType{
	0: {"F32", 1, 4, tensor.F32, nil}, 1: {"F16", 1, 2, tensor.F16, nil}, 30: {"BF16", 1, 2, tensor.BF16, nil},
	2:  {"Q4_0", 32, 18, tensor.Q4_0, []int64{0}},
	3:  {"Q4_1", 32, 20, tensor.Q4_1, []int64{0, 2}},
	6:  {"Q5_0", 32, 22, tensor.Q5_0, []int64{0}},
	7:  {"Q5_1", 32, 24, tensor.Q5_1, []int64{0, 2}},
	8:  {"Q8_0", 32, 34, tensor.Q8_0, []int64{0}},
	10: {"Q2_K", 256, 84, tensor.Q2_K, []int64{80, 82}},
	11: {"Q3_K", 256, 110, tensor.Q3_K, []int64{108}},
	12: {"Q4_K", 256, 144, tensor.Q4_K, []int64{0, 2}},
	13: {"Q5_K", 256, 176, tensor.Q5_K, []int64{0, 2}},
	14: {"Q6_K", 256, 210, tensor.Q6_K, []int64{208}},

	16: {"IQ2_XXS", 256, 66, 0, nil}, 17: {"IQ2_XS", 256, 74, 0, nil}, 18: {"IQ3_XXS", 256, 98, 0, nil},
	19: {"IQ1_S", 256, 50, 0, nil}, 20: {"IQ4_NL", 32, 18, 0, nil}, 21: {"IQ3_S", 256, 110, 0, nil},
	22: {"IQ2_S", 256, 82, 0, nil}, 23: {"IQ4_XS", 256, 136, 0, nil}, 29: {"IQ1_M", 256, 56, 0, nil},
	24: {"I8", 1, 1, 0, nil}, 25: {"I16", 1, 2, 0, nil}, 26: {"I32", 1, 4, 0, nil}, 27: {"I64", 1, 8, 0, nil}, 28: {"F64", 1, 8, 0, nil},
	34: {"TQ1_0", 256, 54, 0, nil}, 35: {"TQ2_0", 256, 66, 0, nil},
	39: {"MXFP4", 32, 17, 0, nil}, 40: {"NVFP4", 64, 36, 0, nil}, 41: {"Q1_0", 128, 18, 0, nil},
}

// ggufGone are ids that once were types, or are types of values that are never
// stored, with what is to be said of them.
var ggufGone = map[uint32]string{
	4: "Q4_2, which was removed from the format", 5: "Q4_3, which was removed from the format",
	9: "Q8_1, which is for values while computing and not for files", 15: "Q8_K, which is for values while computing and not for files",
	31: "Q4_0_4_4, which was removed from the format", 32: "Q4_0_4_8, which was removed from the format", 33: "Q4_0_8_8, which was removed from the format",
	36: "IQ4_NL_4_4, which was removed from the format", 37: "IQ4_NL_4_8, which was removed from the format", 38: "IQ4_NL_8_8, which was removed from the format",
}

// blocked are the types with scales, by name.
var blocked = func() map[string]ggufType {
	m := map[string]ggufType{}
	for _, t := range ggufTypes {
		if len(t.scales) > 0 {
			m[t.name] = t
		}
	}
	return m
}()

// ggufID returns the id of a format that package tensor computes with.
func ggufID(d tensor.DType) (uint32, bool) {
	for id, t := range ggufTypes {
		if t.dtype == d && d != 0 {
			return id, true
		}
	}
	return 0, false
}

// finiteBlocks searches bytes [from,to) of the file, all of t, for blocks with a
// scale that is NaN or ±Inf. Blocks may begin before from and end behind to;
// from and to are even offsets into t, as blocks and scales are.
func (b ggufType) finiteBlocks(t *Tensor, f *File, from, to int64) error {
	for _, scale := range b.scales {
		first := (from - t.Offset - scale + b.bytes - 1) / b.bytes
		for at := t.Offset + first*b.bytes + scale; at+2 <= to; at += b.bytes {
			bits := binary.LittleEndian.Uint16(f.mapped[at:])
			if bits&0x7c00 != 0x7c00 {
				continue
			}
			block := (at - t.Offset) / b.bytes
			return &Error{File: f.Path, Tensor: t.Name, Offset: at, Reason: fmt.Sprintf(
				"the scale of elements %d to %d is %s, and weights must be numbers; the file is damaged, or was made of weights that were not numbers "+
					"(--verify-weights off loads it all the same)", block*b.block, (block+1)*b.block-1, floatFormats["F16"].name(f.mapped[at:]))}
		}
	}
	return nil
}
