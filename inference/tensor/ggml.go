package tensor

import "fmt"

// ggmlID are the numbers that GGUF files give the formats (enum ggml_type).
var ggmlID = [...]uint32{
	F32: 0, F16: 1, BF16: 30,
	Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8,
	Q2_K: 10, Q3_K: 11, Q4_K: 12, Q5_K: 13, Q6_K: 14,
}

// ggmlOther names the numbers that stand for formats this package has not. The
// repacked and the first 4-bit formats were removed from GGUF and are in old
// files only.
var ggmlOther = map[uint32]string{
	4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 15: "Q8_K",
	16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS",
	24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M",
	31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 34: "TQ1_0", 35: "TQ2_0",
	36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0", 42: "Q2_0",
}

// FromGGML returns the format that a GGUF file means by id.
func FromGGML(id uint32) (DType, bool) {
	for d := F32; d.Known(); d++ {
		if ggmlID[d] == id {
			return d, true
		}
	}
	return 0, false
}

// GGML returns the number of d in a GGUF file.
func (d DType) GGML() uint32 { return ggmlID[d] }

// GGMLName returns what a GGUF file means by id, of formats that are not here
// too, so that a refusal can name what it refuses.
func GGMLName(id uint32) string {
	if d, ok := FromGGML(id); ok {
		return d.String()
	}
	if name, ok := ggmlOther[id]; ok {
		return name
	}
	return fmt.Sprintf("type %d", id)
}
