package llama

import "fmt"

// Tensor names of the HF layout of a causal model. Files saved from the bare
// model, without the prefix "model.", have no head either and are refused by
// Check, which says so.
const (
	embedName = "model.embed_tokens.weight"
	normName  = "model.norm.weight"
	headName  = "lm_head" // + ".weight"
)

// layout is how a kind of file names the tensors. Of a layer those of norms are
// in full, those of projections without ".weight" and ".bias".
type layout struct {
	embed, norm string
	head        string // without ".weight"
	layer       func(i int) layerTensors
	layers      string // what the names of all layers begin with; the layer's number follows
	meant       string // who says what shape a tensor must have
}

var hfLayout = layout{embed: embedName, norm: normName, head: headName, layer: layerNames, layers: "model.layers.", meant: "config.json means"}

// ggufLayout has the names of the GGUF specification, the same for all families.
var ggufLayout = layout{
	embed: "token_embd.weight", norm: "output_norm.weight", head: "output", layers: "blk.", meant: "the metadata mean",
	layer: func(i int) layerTensors {
		p := fmt.Sprintf("blk.%d.", i)
		return layerTensors{
			AttnNorm: p + "attn_norm.weight", FFNNorm: p + "ffn_norm.weight",
			Q: p + "attn_q", K: p + "attn_k", V: p + "attn_v", O: p + "attn_output",
			QNorm: p + "attn_q_norm.weight", KNorm: p + "attn_k_norm.weight",
			Gate: p + "ffn_gate", Up: p + "ffn_up", Down: p + "ffn_down",
			QKV: p + "attn_qkv", GateUp: p + "ffn_up", // the same name for the matrix of both
		}
	},
}

func (c *Config) layout() *layout {
	if c.GGUF {
		return &ggufLayout
	}
	return &hfLayout
}

// layerTensors are the names of one layer: of norms in full, of projections
// without ".weight" and ".bias".
type layerTensors struct {
	AttnNorm, FFNNorm string // [hidden]
	Q, K, V, O        string // [heads·dim × hidden], 2 × [kv heads·dim × hidden], [hidden × heads·dim]
	QNorm, KNorm      string // [dim]
	Gate, Up, Down    string // 2 × [ffn × hidden], [hidden × ffn]
	QKV, GateUp       string // of files that keep these together: [(heads + 2·kv heads)·dim × hidden], [2·ffn × hidden]
}

// qkv and gateUp are the matrices the file has for them, top to bottom.
func (c *Config) qkv(n layerTensors) []string {
	if c.Fused {
		return []string{n.QKV}
	}
	return []string{n.Q, n.K, n.V}
}

func (c *Config) gateUp(n layerTensors) []string {
	if c.Fused {
		return []string{n.GateUp}
	}
	return []string{n.Gate, n.Up}
}

func layerNames(i int) layerTensors {
	p := fmt.Sprintf("model.layers.%d.", i)
	return layerTensors{
		AttnNorm: p + "input_layernorm.weight", FFNNorm: p + "post_attention_layernorm.weight",
		Q: p + "self_attn.q_proj", K: p + "self_attn.k_proj", V: p + "self_attn.v_proj", O: p + "self_attn.o_proj",
		QNorm: p + "self_attn.q_norm.weight", KNorm: p + "self_attn.k_norm.weight",
		Gate: p + "mlp.gate_proj", Up: p + "mlp.up_proj", Down: p + "mlp.down_proj",
		QKV: p + "self_attn.qkv_proj", GateUp: p + "mlp.gate_up_proj",
	}
}

// need is a tensor the forward pass reads.
type need struct {
	name  string
	shape []int
}

// needs lists all of them.
func (c *Config) needs() []need {
	names := c.layout()
	list := []need{{names.embed, []int{c.Vocab, c.Hidden}}, {names.norm, []int{c.Hidden}}}
	if !c.TiedEmbeddings {
		list = append(list, need{names.head + ".weight", []int{c.Vocab, c.Hidden}})
	}
	for i := range c.Layers {
		n := names.layer(i)
		list = append(list, need{n.AttnNorm, []int{c.Hidden}}, need{n.FFNNorm, []int{c.Hidden}})
		if c.QKNorm {
			list = append(list, need{n.QNorm, []int{c.HeadDim}}, need{n.KNorm, []int{c.HeadDim}})
		}
		for _, p := range c.projections(n) {
			list = append(list, need{p.name + ".weight", []int{p.out, p.in}})
			if p.withBias {
				list = append(list, need{p.name + ".bias", []int{p.out}})
			}
		}
	}
	return list
}

// projection is one matrix of a layer.
type projection struct {
	name     string
	out, in  int
	withBias bool
}

func (c *Config) projections(n layerTensors) []projection {
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	o, down := projection{n.O, c.Hidden, q, c.OutputBias}, projection{n.Down, c.Hidden, c.FFN, c.MLPBias}
	if c.Fused {
		return []projection{{n.QKV, q + 2*kv, c.Hidden, c.QKVBias}, o, {n.GateUp, 2 * c.FFN, c.Hidden, c.MLPBias}, down}
	}
	return []projection{{n.Q, q, c.Hidden, c.QKVBias}, {n.K, kv, c.Hidden, c.QKVBias}, {n.V, kv, c.Hidden, c.QKVBias}, o,
		{n.Gate, c.FFN, c.Hidden, c.MLPBias}, {n.Up, c.FFN, c.Hidden, c.MLPBias}, down}
}
