// Package qwen2 is Qwen2 and Qwen2.5: the llama block with a bias on query, key
// and value, always and without a field that says so.
package qwen2

import "llorch/inference/model/llama"

// Quirks are the values of transformers' Qwen2Config.
var Quirks = llama.Quirks{
	ModelType: "qwen2",
	Hidden:    4096, FFN: 22016, Layers: 32, Heads: 32, KVHeads: 32,
	Vocab: 151936, MaxPositions: 32768,
	BOS:     -1,
	QKVBias: llama.On,
	Window:  llama.ByLayer,
}
