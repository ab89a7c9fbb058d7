package bench

import (
	"fmt"
	"strings"

	"llorch/inference"
)

// cost is what one step moves and computes.
type cost struct {
	weightBytes int64 // read by every decode step, in the file's formats
	cacheBytes  int64 // read by a step for each token of context
	layerFlops  int64 // of one token in the layers, attention's own products left out
	endFlops    int64 // of these, in the last layer behind attention: computed where logits are wanted alone
	headFlops   int64 // of one row of logits
}

// role is what a tensor is to a step.
type role uint8

const (
	layer     role = iota // read by every step, for each token
	embedding             // a row of it is read for a token
	head                  // read by every step, for the rows whose logits are wanted
	unread                // tables that loading has made use of
)

// roleOf goes by the names of Hugging Face's files and of GGUF's.
func roleOf(name string) role {
	switch {
	case strings.HasSuffix(name, "embed_tokens.weight"), name == "token_embd.weight":
		return embedding
	case strings.HasPrefix(name, "lm_head."), strings.HasPrefix(name, "output."):
		return head
	case strings.HasPrefix(name, "rope_"), strings.HasSuffix(name, "inv_freq"):
		return unread
	}
	return layer
}

// ends tells whether a tensor is multiplied behind the attention of the last of so many layers.
func ends(name string, layers int) bool {
	hf, inHF := strings.CutPrefix(name, fmt.Sprintf("model.layers.%d.", layers-1))
	gguf, inGGUF := strings.CutPrefix(name, fmt.Sprintf("blk.%d.", layers-1))
	switch {
	case inHF:
		return strings.HasPrefix(hf, "self_attn.o_proj.") || strings.HasPrefix(hf, "post_attention_layernorm.") || strings.HasPrefix(hf, "mlp.")
	case inGGUF:
		return strings.HasPrefix(gguf, "attn_output.") || strings.HasPrefix(gguf, "ffn_")
	}
	return false
}

// add counts a tensor of elements in bytes. tied says that the embedding table
// is the head too.
func (c *cost) add(name string, elements, bytes int64, layers int, tied bool) {
	switch r := roleOf(name); {
	case r == unread, r == embedding && !tied:
		return
	case r == embedding, r == head:
		c.headFlops += 2 * elements
	default:
		c.layerFlops += 2 * elements
		if ends(name, layers) {
			c.endFlops += 2 * elements
		}
	}
	c.weightBytes += bytes
}

// costOf counts the matrices: every weight but the embedding table is read by
// each step, and costs a multiplication and an addition a token.
func costOf(ins *inference.Inspection, p inference.Plan) cost {
	var c cost
	for _, name := range ins.Source.Names() {
		t, _ := ins.Source.Tensor(name)
		c.add(name, t.Elements(), p.TensorBytes(t), ins.Spec.Layers, ins.Spec.TiedHead)
	}
	return c
}

// cached sets what a token of context costs, in the cache's own format.
func (c *cost) cached(p inference.Plan) {
	if p.Pages > 0 {
		c.cacheBytes = p.Cache / (int64(p.Pages) * inference.PageSize)
	}
}

// decodeBytes are those of a step of batch sequences that each have context tokens.
func (c *cost) decodeBytes(batch, context int) float64 {
	return float64(c.weightBytes) + float64(batch)*float64(context)*float64(c.cacheBytes)
}

// prefillFlops are those of a prompt whose last row alone gets logits.
func (c *cost) prefillFlops(tokens int) float64 {
	return float64(tokens)*float64(c.layerFlops-c.endFlops) + float64(c.endFlops) + float64(c.headFlops)
}
