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
		layers  int
		tensors []tensor
		want    cost
	}{
		{"HF", false, 1, []tensor{
			{"model.embed_tokens.weight", 1000, 2000}, {"model.layers.0.self_attn.q_proj.weight", 100, 200},
			{"model.layers.0.self_attn.q_proj.bias", 10, 20}, {"model.norm.weight", 10, 20}, {"lm_head.weight", 1000, 2000},
			{"model.layers.0.self_attn.rotary_emb.inv_freq", 5, 20},
		}, cost{weightBytes: 2240, layerFlops: 240, headFlops: 2000}},
		{"GGUF", false, 1, []tensor{
			{"token_embd.weight", 1000, 600}, {"blk.0.attn_q.weight", 100, 60}, {"blk.0.attn_q.bias", 10, 40},
			{"output_norm.weight", 10, 40}, {"output.weight", 1000, 800}, {"rope_freqs.weight", 32, 128},
		}, cost{weightBytes: 940, layerFlops: 240, headFlops: 2000}},
		{"GGUF, one layer's output", false, 2, []tensor{{"blk.0.attn_output.weight", 100, 60}}, cost{weightBytes: 60, layerFlops: 200}},
		{"GGUF, the last layer's end", false, 2, []tensor{
			{"blk.1.attn_norm.weight", 1, 1}, {"blk.1.attn_q.weight", 2, 2}, {"blk.1.attn_k.weight", 4, 4}, {"blk.1.attn_v.weight", 8, 8},
			{"blk.1.attn_output.weight", 16, 16}, {"blk.1.ffn_norm.weight", 32, 32}, {"blk.1.ffn_gate.weight", 64, 64}, {"blk.1.ffn_down.weight", 128, 128},
			{"blk.11.ffn_up.weight", 256, 256},
		}, cost{weightBytes: 511, layerFlops: 2 * 511, endFlops: 2 * 240}},
		{"HF, the last layer's end", false, 12, []tensor{
			{"model.layers.11.input_layernorm.weight", 1, 1}, {"model.layers.11.self_attn.qkv_proj.weight", 2, 2}, {"model.layers.11.self_attn.q_norm.weight", 4, 4},
			{"model.layers.11.self_attn.o_proj.weight", 8, 8}, {"model.layers.11.post_attention_layernorm.weight", 16, 16},
			{"model.layers.11.mlp.gate_up_proj.weight", 32, 32}, {"model.layers.1.mlp.up_proj.weight", 64, 64},
		}, cost{weightBytes: 127, layerFlops: 2 * 127, endFlops: 2 * 56}},
		{"HF, tied", true, 1, []tensor{{"model.embed_tokens.weight", 1000, 2000}, {"model.norm.weight", 10, 20}},
			cost{weightBytes: 2020, layerFlops: 20, headFlops: 2000}},
		{"GGUF, tied", true, 1, []tensor{{"token_embd.weight", 1000, 600}, {"blk.0.ffn_up.weight", 50, 30}},
			cost{weightBytes: 630, layerFlops: 100, endFlops: 100, headFlops: 2000}},
	} {
		var got cost
		for _, x := range c.tensors {
			got.add(x.name, x.elements, x.bytes, c.layers, c.tied)
		}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestPrefillFlops: behind the last layer's attention there is one row.
func TestPrefillFlops(t *testing.T) {
	c := cost{layerFlops: 1000, endFlops: 300, headFlops: 50}
	if got, want := c.prefillFlops(10), 700.0*10+300+50; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
