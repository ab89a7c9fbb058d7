// Package phi3 is Phi-3, Phi-3.5 and Phi-4-mini: the llama block with q, k and v
// in one matrix and gate and up in another, LongRoPE for the long contexts, and
// in Phi-4-mini heads of which only a part is rotated.
package phi3

import "llorch/inference/model/llama"

// Quirks are the values of transformers' Phi3Config.
var Quirks = llama.Quirks{
	ModelType: "phi3",
	Hidden:    3072, FFN: 8192, Layers: 32, Heads: 32,
	Vocab: 32064, MaxPositions: 4096, OriginalPositions: 4096,
	BOS: 1, EOS: []int32{32000},
	Fused: true, PartialRotary: true, NormEps: 1e-5,
	Window: llama.AllLayersIfSet,
}
