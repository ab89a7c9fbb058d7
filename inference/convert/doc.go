// Package convert writes a model in the HF layout as a GGUF file that this program
// and llama.cpp load: names, metadata, vocabulary, the order of rows that the
// container asks for, and on the way another number format.
//
// Decisions:
//   - Matrices take the target's format, vectors stay F32: norms and biases are
//     read one by one and are no size.
//   - q4_k_m and q4_0 keep the head in Q6_K, and q4_k_m keeps attn_v and ffn_down
//     of the first and last eighth of the layers and of every third between in
//     Q6_K, as llama-quantize does.
//   - A row that is no whole number of blocks takes the next format that fits: Q5_0
//     for Q4_K, Q8_0 for Q6_K, and F16 where a row is no multiple of 32.
//   - Tensors are streamed: at most a few MiB of them are in memory.
package convert
