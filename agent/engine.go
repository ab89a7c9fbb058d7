package agent

import (
	"context"

	"llorch/inference"
)

// Engine is what the HTTP layer needs of an inference engine. The channel of
// Generate closes after its last event; what is not read when the request's
// context ends may be dropped, but for that one.
type Engine interface {
	Generate(ctx context.Context, r inference.Request) (<-chan inference.Event, error)
	Stats() inference.Stats
}

// ModelInfo is what probes, callbacks and metrics tell about the loaded model.
// It does not change while the process lives.
type ModelInfo struct {
	Name          string // what the orchestrator calls it: the model ref, else the folder
	QuantKind     string // "BF16", "F16", "F32", "Q4_K_M" …
	TokenizerKind string // "hf-json" or "gguf-bpe"
	VocabSize     int
	ContextLength int
	FileBytes     int64  // the weight files on disk: what callbacks call vram_bytes
	DeviceBytes   int64  // held on the device: weights, cache and scratch
	Digest        string // of all files of the model, "xxh3:…"; "" where it was not computed
	Architecture  string // of memory: "ram", "vram-only", "unified"
}
