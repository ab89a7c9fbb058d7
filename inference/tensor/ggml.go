package tensor

// ggmlID are the numbers that GGUF files give the formats (enum ggml_type).
var ggmlID = [...]uint32{
	F32: 0, F16: 1, BF16: 30,
	Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8,
	Q2_K: 10, Q3_K: 11, Q4_K: 12, Q5_K: 13, Q6_K: 14,
}

// GGML returns the number of d in a GGUF file.
func (d DType) GGML() uint32 { return ggmlID[d] }
