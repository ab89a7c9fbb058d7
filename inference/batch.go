package inference

import (
	"llorch/inference/backend"
	"llorch/inference/sample"
)

// stepInput is the engine's reusable input of a step: the batch for the device
// and the sampling parameters of its logits rows.
type stepInput struct {
	batch    backend.Batch
	params   []sample.Params
	sampling []*sequence // by logits row
	ids      []int32     // by logits row: what was chosen
}

// fill flattens the work of a step; decode work comes first in it.
func (in *stepInput) fill(step []work) *backend.Batch {
	b := &in.batch
	b.Tokens, b.Positions, b.Seqs, b.Logits = b.Tokens[:0], b.Positions[:0], b.Seqs[:0], b.Logits[:0]
	in.params, in.sampling, b.Decode = in.params[:0], in.sampling[:0], 0
	for _, w := range step {
		b.Seqs = append(b.Seqs, backend.Seq{First: len(b.Tokens), Rows: w.to - w.from, Pages: w.seq.pages})
		for p := w.from; p < w.to; p++ {
			b.Tokens = append(b.Tokens, w.token(p))
			b.Positions = append(b.Positions, int32(p))
		}
		if w.decode {
			b.Decode = len(b.Tokens)
		}
		if w.samples() {
			b.Logits = append(b.Logits, int32(len(b.Tokens)-1))
			w.seq.params.Position = uint64(w.to)
			in.params = append(in.params, w.seq.params)
			in.sampling = append(in.sampling, w.seq)
		}
	}
	in.ids = append(in.ids[:0], make([]int32, len(in.params))...)
	return b
}
