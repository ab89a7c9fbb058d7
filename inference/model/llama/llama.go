package llama

import (
	"llorch/inference/backend"
	"llorch/inference/model"
)

// Model is a loaded llama-shaped decoder.
type Model struct {
	dev     backend.Device
	eps     float32
	rope    backend.Rope
	embed   backend.Tensor // [vocab × hidden]
	layers  []layer
	norm    backend.Tensor // [1 × hidden]
	head    backend.Linear // hidden → vocab
	scratch scratch
	wanted  backend.Batch // of the step at hand: the rows whose logits are wanted
}

// layer is one block. heads differs by layer where only some have a window.
type layer struct {
	heads             backend.Heads
	attnNorm, ffnNorm backend.Tensor // [1 × hidden]
	qNorm, kNorm      backend.Tensor // [1 × head dim]; Qwen3
	wqkv, wo          backend.Linear // hidden → (Q+2·KV)·dim; Q·dim → hidden
	wGateUp, wDown    backend.Linear // hidden → 2·F; F → hidden
}

var _ model.Model = (*Model)(nil)

// Forward implements model.Model. Behind the last layer's attention only rows matter whose logits are wanted: of a prompt
// its last one, of a part of a prompt none.
func (m *Model) Forward(b *backend.Batch, kv []backend.KV) backend.Tensor {
	d, s := m.dev, m.scratch.view(b.Rows(), len(b.Logits))
	d.Embed(s.x, m.embed, b)
	for i := range kv {
		l := &m.layers[i]
		d.RMSNorm(s.h, s.x, l.attnNorm, m.eps)
		d.Linear(s.qkv, s.h, l.wqkv, b)
		if l.qNorm.Data != nil {
			d.HeadNorm(s.qkv, l.qNorm, l.kNorm, l.heads, m.eps)
		}
		d.RopeStore(s.qkv, kv[i], m.rope, l.heads, b)
		last := i == len(kv)-1
		if last && len(b.Logits) == 0 {
			break // its keys and values are all that is wanted
		}
		d.Attend(s.att, s.qkv, kv[i], l.heads, b)
		if last && len(b.Logits) < b.Rows() {
			s, b = m.narrow(s, b)
		}
		d.LinearAdd(s.x, s.att, l.wo, b) // x += attention(norm(x))

		d.RMSNorm(s.h, s.x, l.ffnNorm, m.eps)
		d.Linear(s.gateUp, s.h, l.wGateUp, b)
		d.SwiGLU(s.ffn, s.gateUp)
		d.LinearAdd(s.x, s.ffn, l.wDown, b) // x += ffn(norm(x))
	}
	if len(b.Logits) > 0 {
		if s.x.Data != s.last.Data {
			d.Rows(s.last, s.x, b)
		}
		d.RMSNorm(s.last, s.last, m.norm, m.eps)
		d.Linear(s.logits, s.last, m.head, nil)
	}
	return s.logits
}

// narrow leaves the rows whose logits are wanted, and returns their views and batch.
func (m *Model) narrow(s scratch, b *backend.Batch) (scratch, *backend.Batch) {
	m.dev.Rows(s.last, s.x, b)
	m.dev.Rows(s.chosen, s.att, b)
	n := len(b.Logits)
	s.x, s.att = s.last, s.chosen
	s.h, s.gateUp, s.ffn = s.h.Slice(0, n), s.gateUp.Slice(0, n), s.ffn.Slice(0, n)
	b.Wanted(&m.wanted)
	return s, &m.wanted
}
