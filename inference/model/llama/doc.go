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
package llama
