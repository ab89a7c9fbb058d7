// Package mistral is Mistral: the llama block without biases, with a sliding
// window over all layers unless sliding_window is null. The mixture-of-experts
// and the alternating-window models have other model_types and are not this.
package mistral

import "llorch/inference/model/llama"

// Quirks are the values of transformers' MistralConfig.
var Quirks = llama.Quirks{
	ModelType: "mistral",
	Hidden:    4096, FFN: 14336, Layers: 32, Heads: 32, KVHeads: 8,
	Vocab: 32000, MaxPositions: 4096 * 32,
	BOS: 1, EOS: []int32{2},
	Window: llama.AllLayers,
}
