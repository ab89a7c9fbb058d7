// Package tensor holds the facts of number formats and nothing else: how many
// bytes a row takes, how a row is decoded to float32 and encoded from it. It
// has no cgo and no dependency, so that every other package may import it.
//
// One file describes one format (f32.go, f16.go, bf16.go, later q8_0.go …) and
// adds it to the table in tensor.go. Decode is exact for every format; Encode
// rounds to nearest, ties to even, and is what the goldens of a format are
// checked with.
package tensor
