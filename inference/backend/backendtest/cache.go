package backendtest

import (
	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// span is one sequence's share of a batch: positions [from, to).
type span struct {
	from, to int
	decode   bool
}

// pagesFor returns the pages that spans need, and the two guards.
func pagesFor(spans []span, pageSize int) int {
	n := 2
	for _, s := range spans {
		n += (s.to + pageSize - 1) / pageSize
	}
	return n
}

// batch lays spans out, decode ones first, over shuffled pages. Pages 0 and the
// last one are given to nobody: they are guards.
func (r *rig) batch(spans []span, pageSize, pages int) *backend.Batch {
	r.Helper()
	free := r.rnd.Perm(pages - 2)
	b := &backend.Batch{}
	for _, decode := range []bool{true, false} {
		for _, s := range spans {
			if s.decode != decode {
				continue
			}
			seq := backend.Seq{First: b.Rows(), Rows: s.to - s.from}
			for range (s.to + pageSize - 1) / pageSize {
				seq.Pages = append(seq.Pages, int32(free[0]+1))
				free = free[1:]
			}
			for p := s.from; p < s.to; p++ {
				b.Tokens = append(b.Tokens, 0)
				b.Positions = append(b.Positions, int32(p))
			}
			b.Seqs = append(b.Seqs, seq)
		}
		if decode {
			b.Decode = b.Rows()
		}
	}
	return b
}

// store is a cache on the device and what its bytes mean.
type store struct {
	backend.KV
	h    backend.Heads
	k, v []float32
}

// store returns a cache that holds k and v, rounded to t.
func (r *rig) store(t tensor.DType, h backend.Heads, pageSize int, k, v []float32) *store {
	r.Helper()
	s := &store{KV: backend.KV{PageSize: pageSize}, h: h, k: make([]float32, len(k)), v: make([]float32, len(v))}
	for _, side := range []struct {
		dst       *backend.Tensor
		val, back []float32
	}{{&s.K, k, s.k}, {&s.V, v, s.v}} {
		*side.dst = r.alloc(backend.Cache, t, len(k)/h.Dim, h.Dim)
		host := make([]byte, side.dst.Bytes())
		t.Encode(host, side.val)
		t.Decode(side.back, host)
		r.d.Upload(*side.dst, host)
	}
	return s
}

// at returns where the elements of a head at a position begin.
func (s *store) at(pages []int32, head, position int) int {
	page := int(pages[position/s.PageSize])
	return ((page*s.h.KV+head)*s.PageSize + position%s.PageSize) * s.h.Dim
}

// cacheValues returns the values of a cache in which only what rows of b may
// see is a number: from the window of a sequence's first row to its last row.
func (r *rig) cacheValues(h backend.Heads, b *backend.Batch, pageSize, pages int) []float32 {
	v := make([]float32, pages*h.KV*pageSize*h.Dim)
	for i := range v {
		v[i] = nan
	}
	s := &store{KV: backend.KV{PageSize: pageSize}, h: h}
	for _, seq := range b.Seqs {
		first, last := int(b.Positions[seq.First]), int(b.Positions[seq.First+seq.Rows-1])
		from := 0
		if h.Window > 0 {
			from = max(0, first-h.Window+1)
		}
		for p := from; p <= last; p++ {
			for head := range h.KV {
				copy(v[s.at(seq.Pages, head, p):], r.values(h.Dim))
			}
		}
	}
	return v
}
