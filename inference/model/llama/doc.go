// Package llama is the llama block: RMSNorm, grouped-query attention with
// rotary positions, SwiGLU. Mistral, Qwen2 and Qwen3 are the same block with
// other switches in their config and reuse this forward pass.
//
// The pass is written once for every device, format and phase. Query, key and
// value, and gate and up, are one projection each, stacked by output row
// without copying.
//
// Decisions about config.json, whose oracle is transformers:
//   - Fields left out have the defaults of transformers' config class of the
//     family, kept in its Quirks. Where null and absent differ there, they do here.
//   - What would change the arithmetic and is not implemented is an error, also
//     where transformers ignores it: quantised weights, soft caps, partial
//     rotation, a bias in the file that the config does not know.
//   - What is harmless but surprising is in Config.Warnings.
//   - generation_config.json goes before config.json for the ids it names.
//   - The tensors say of what format they are, whatever dtype says.
//
// Decisions about GGUF files, whose oracle is the same model as SafeTensors:
//   - The tensors keep the file's names; names.go has one table for each container.
//   - Heads of the llama architecture have their rows reordered, so that rotation
//     turns neighbours (Config.Interleaved); the other families have halves.
//   - Biases and the head are there or not, and that decides, since no key does.
//   - rope_freqs.weight stands for the llama3 scaling, which has no key.
//   - What ends a text is eos, eot and eom_token_id and the control tokens that end
//     a turn by their name: GGUF has no list of ends, and converters drop the rest.
//   - sliding_window holds for all layers, with sliding_window_pattern for those it
//     names; for families that slide by layer it is ignored without the pattern.
//
// A matrix whose format the device has no kernel for is widened to float32 while
// loading.
package llama
