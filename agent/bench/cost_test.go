package bench

import "testing"

// TestCost counts the same model under the names of both containers.
func TestCost(t *testing.T) {
	type tensor struct {
		name            string
		elements, bytes int64
	}
	for _, c := range []struct {
		name    string
		tied    bool
		tensors []tensor
		want    cost
	}{
		{"HF", false, []tensor{
			{"model.embed_tokens.weight", 1000, 2000}, {"model.layers.0.self_attn.q_proj.weight", 100, 200},
			{"model.layers.0.self_attn.q_proj.bias", 10, 20}, {"model.norm.weight", 10, 20}, {"lm_head.weight", 1000, 2000},
			{"model.layers.0.self_attn.rotary_emb.inv_freq", 5, 20},
		}, cost{weightBytes: 2240, layerFlops: 240, headFlops: 2000}},
		{"GGUF", false, []tensor{
			{"token_embd.weight", 1000, 600}, {"blk.0.attn_q.weight", 100, 60}, {"blk.0.attn_q.bias", 10, 40},
			{"output_norm.weight", 10, 40}, {"output.weight", 1000, 800}, {"rope_freqs.weight", 32, 128},
		}, cost{weightBytes: 940, layerFlops: 240, headFlops: 2000}},
		{"GGUF, one layer's output", false, []tensor{{"blk.0.attn_output.weight", 100, 60}}, cost{weightBytes: 60, layerFlops: 200}},
		{"HF, tied", true, []tensor{{"model.embed_tokens.weight", 1000, 2000}, {"model.norm.weight", 10, 20}},
			cost{weightBytes: 2020, layerFlops: 20, headFlops: 2000}},
		{"GGUF, tied", true, []tensor{{"token_embd.weight", 1000, 600}, {"blk.0.ffn_up.weight", 50, 30}},
			cost{weightBytes: 630, layerFlops: 100, headFlops: 2000}},
	} {
		var got cost
		for _, x := range c.tensors {
			got.add(x.name, x.elements, x.bytes, c.tied)
		}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
