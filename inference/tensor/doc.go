// Package tensor holds the facts of number formats and nothing else: how many
// bytes a row takes, how a row is decoded to float32 and encoded from it, and
// what SafeTensors and GGUF files call it. It has no cgo and no dependency, so
// that every other package may import it.
//
// One file describes one format (f32.go, bf16.go, q8_0.go, q4_k.go …) with its
// layout at the top, and adds it to the table in tensor.go. block.go and kblock.go
// hold what the blocked formats share, fitaffine.go and fitsymmetric.go the
// searches for their scales, convert.go goes from one format to another on several
// cores, with a faster encoder where a device has one, ggml.go has the numbers that GGUF files use.
//
// Decode is exact: the value of the definition, rounded once where a minimum is
// subtracted. Encode makes, bit for bit and on every processor, the blocks that
// llama-quantize makes without an importance matrix. Only blocks differ whose
// scale leaves the range of an f16: those that decode to zeros here and there, and
// those that are not finite. The unblocked formats round to nearest, ties to even.
// Neither allocates.
package tensor
