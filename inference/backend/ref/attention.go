package ref

import (
	"math"
	"sort"

	"llorch/inference/backend"
)

// RopeStore rotates each pair of q and k by the angle of its position (Su et
// al., "RoFormer", 2021) and stores k and v.
func (d *Device) RopeStore(qkv backend.Tensor, kv backend.KV, r backend.Rope, h backend.Heads, b *backend.Batch) {
	all, cos, sin := qkv.Float32s(), r.Cos.Float32s(), r.Sin.Float32s()
	half := r.Cos.Cols
	d.each("RopeStore", qkv.Rows, func(_ *worker, i int) {
		position := int(b.Positions[i])
		row := all[i*qkv.Cols : (i+1)*qkv.Cols]
		c, s := cos[position*half:(position+1)*half], sin[position*half:(position+1)*half]
		for head := range h.Q + h.KV {
			rotate(row[head*h.Dim:(head+1)*h.Dim], c, s, r.Interleaved)
		}
		pages := seqOf(b, i).Pages
		k, v := row[h.Q*h.Dim:(h.Q+h.KV)*h.Dim], row[(h.Q+h.KV)*h.Dim:]
		for head := range h.KV {
			at, from, to := slot(kv, h, pages, head, position), head*h.Dim, (head+1)*h.Dim
			kv.K.Type.Encode(rowBytes(kv.K, at), k[from:to])
			kv.V.Type.Encode(rowBytes(kv.V, at), v[from:to])
		}
	})
}

func rotate(x, cos, sin []float32, interleaved bool) {
	for i := range cos {
		a, b := i, i+len(cos)
		if interleaved {
			a, b = 2*i, 2*i+1
		}
		p, q, c, s := float64(x[a]), float64(x[b]), float64(cos[i]), float64(sin[i])
		x[a], x[b] = float32(p*c-q*s), float32(p*s+q*c)
	}
}

// slot is the row of kv.K and kv.V that belongs to a head at a position.
func slot(kv backend.KV, h backend.Heads, pages []int32, head, position int) int {
	page := int(pages[position/kv.PageSize])
	return (page*h.KV+head)*kv.PageSize + position%kv.PageSize
}

// seqOf returns the sequence of a row.
func seqOf(b *backend.Batch, row int) *backend.Seq {
	after := sort.Search(len(b.Seqs), func(i int) bool { return b.Seqs[i].First > row })
	return &b.Seqs[after-1]
}

// Attend: dst = softmax(q·kᵀ·scale)·v over the positions in sight, one query
// head of one row at a time.
func (d *Device) Attend(dst, qkv backend.Tensor, kv backend.KV, h backend.Heads, b *backend.Batch) {
	out, all := dst.Float32s(), qkv.Float32s()
	d.each("Attend", dst.Rows*h.Q, func(w *worker, i int) {
		row, head := i/h.Q, i%h.Q
		q := all[row*qkv.Cols+head*h.Dim:][:h.Dim]
		y := out[row*dst.Cols+head*h.Dim:][:h.Dim]
		w.attend(y, q, kv, h, seqOf(b, row).Pages, head/(h.Q/h.KV), int(b.Positions[row]))
	})
}

// attend computes one query head: y = Σ exp(sᵢ−max)·vᵢ / Σ exp(sᵢ−max).
func (w *worker) attend(y, q []float32, kv backend.KV, h backend.Heads, pages []int32, head, position int) {
	first := 0
	if h.Window > 0 {
		first = max(0, position-h.Window+1)
	}
	scores := grow(&w.scores, position-first+1)
	top := math.Inf(-1)
	for i := range scores {
		k := w.decode(kv.K, slot(kv, h, pages, head, first+i))
		scores[i] = dot(q, k) * float64(h.Scale)
		top = math.Max(top, scores[i]) // a NaN stays
	}
	sums, total := grow(&w.sums, len(y)), 0.0
	clear(sums)
	for i, s := range scores {
		p := math.Exp(s - top)
		total += p
		for j, v := range w.decode(kv.V, slot(kv, h, pages, head, first+i)) {
			sums[j] += p * float64(v)
		}
	}
	for j := range y {
		y[j] = float32(sums[j] / total)
	}
}
