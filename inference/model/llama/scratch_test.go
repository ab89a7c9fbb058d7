package llama

import (
	"testing"

	"llorch/inference/model"
)

// TestScratchRooms: tensors that are never of use at once share memory, but those that are
// multiplied only with others of their width, and the plan counts each room once.
func TestScratchRooms(t *testing.T) {
	l := model.Limits{Rows: 10, Logits: 2, Positions: 5}
	for _, c := range []struct {
		name   string
		config Config
		bytes  int64
	}{
		{"heads as wide as the stream", Config{Hidden: 64, FFN: 160, Vocab: 100, Heads: 4, KVHeads: 2, HeadDim: 16, RotaryDim: 16},
			4 * (10*(64+64+320+160) + 2*(64+100+64) + 5*16)},
		{"wider heads", Config{Hidden: 64, FFN: 160, Vocab: 100, Heads: 8, KVHeads: 2, HeadDim: 16, RotaryDim: 16},
			4 * (10*(64+64+128+320+160) + 2*(64+100+128) + 5*16)},
		{"a small feed-forward", Config{Hidden: 64, FFN: 32, Vocab: 100, Heads: 4, KVHeads: 4, HeadDim: 16, RotaryDim: 8},
			4 * (10*(64+64+192+32) + 2*(64+100+64) + 5*8)},
	} {
		if got := c.config.Scratch(l); got != c.bytes {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.bytes)
		}
		var s scratch
		seen := map[any]bool{}
		for _, r := range s.rooms(&c.config, l) {
			for _, tensor := range r.tensors {
				seen[tensor.t] = true
			}
		}
		if len(seen) != 9 {
			t.Errorf("%s: %d tensors have a room, want 9", c.name, len(seen))
		}
	}
}
