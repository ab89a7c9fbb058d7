// Package qwen3 is the dense Qwen3: the llama block with a norm over each head
// of query and key before they are rotated, and heads of 128 whatever the width.
package qwen3

import "llorch/inference/model/llama"

// Quirks are the values of transformers' Qwen3Config.
var Quirks = llama.Quirks{
	ModelType: "qwen3",
	Hidden:    4096, FFN: 22016, Layers: 32, Heads: 32, KVHeads: 32, HeadDim: 128,
	Vocab: 151936, MaxPositions: 32768,
	BOS:     -1,
	QKVBias: llama.Configured, OutputBias: llama.Configured,
	QKNorm: true,
	Window: llama.ByLayer,
}
