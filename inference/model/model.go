package model

import (
	"llorch/inference/backend"
	"llorch/inference/tensor"
	"llorch/inference/weights"
)

// Model is loaded weights with their forward pass.
type Model interface {
	// Forward asks the device for one step and returns the logits
	// [len(b.Logits) × vocab], there after the device's Sync and valid until the
	// next Forward. It stores the keys and values of all rows in kv, one for each
	// layer; with fewer only so many layers run, the first ones.
	Forward(b *backend.Batch, kv []backend.KV) backend.Tensor
}

// Config is a family's reading of one model folder, before anything is loaded.
type Config interface {
	Spec() Spec
	// Check verifies that every tensor is there with the right shape and a
	// supported format.
	Check(s *weights.Source) error
	// Scratch returns the bytes Load allocates beside weights, exactly.
	Scratch(l Limits) int64
	// Load places the weights of s on the device; s is mapped, unless l.Later is there.
	Load(d backend.Device, s *weights.Source, l Limits) (Model, error)
}

// Spec is what engine, memory plan and reports need to know of any family.
type Spec struct {
	Architecture            string // "llama", "mistral", "qwen2" …
	Vocab, Hidden, FFN      int
	Layers                  int
	Heads, KVHeads, HeadDim int
	MaxPositions            int
	TiedHead                bool  // the embedding table is the head too
	BOS                     int32 // −1: none
	EOS                     []int32
	Warnings                []string // things in the files that are ignored or odd
}

// CacheRow returns the elements of keys, or of values, that one position takes
// in one layer.
func (s Spec) CacheRow() int { return s.KVHeads * s.HeadDim }

// Limits are the sizes of the largest step.
type Limits struct {
	Rows      int // of all sequences together
	Logits    int // rows whose logits are wanted
	Positions int // of one sequence: the context

	// Formats are matrices, by the names of their files, that get another format
	// while they are placed. Placed, which may be nil, is told of the bytes of each
	// stretch of them that is done; its error stops the load.
	Formats map[string]tensor.DType
	Placed  func(bytes int64) error

	// Later, where it is not nil, is told of each weight that has its memory on the
	// device, and brings it the bytes when Load has returned: the files are not mapped.
	Later func(from *weights.Tensor, to backend.Tensor)
}
