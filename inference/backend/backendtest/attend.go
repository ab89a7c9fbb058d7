package backendtest

import (
	"fmt"
	"math"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// attend runs mixed batches over every head size and group size, with cache
// formats, windows, page sizes and magnitudes in turn.
func attend(r *rig) {
	spans := []span{
		{36, 37, true}, {0, 1, true}, {70, 75, true}, // one row, the first row, replayed rows
		{0, 19, false}, {31, 40, false}, {0, 1, false}, // a prompt, a later chunk, a prompt of one token
	}
	turn := 0
	for _, dim := range []int{16, 24, 32, 48, 64, 80, 96, 128, 256} {
		for group := 1; group <= 9; group++ {
			kv := 1 + turn%2
			h := backend.Heads{Q: group * kv, KV: kv, Dim: dim, Scale: float32(1 / math.Sqrt(float64(dim)))}
			h.Window = []int{0, 1, 17, 32, 0}[turn%5]
			r.checkAttend(cacheFormat(turn, dim), h, spans, []int{8, 16, 32, 64}[turn%4], []float32{1, 10}[turn/3%2])
			turn++
		}
	}
	for _, t := range backend.CacheFormats { // no number of rows or positions at which a kernel is cut
		for _, n := range []int{2, 63, 64, 65, 66} {
			h := backend.Heads{Q: 2, KV: 1, Dim: max(16, t.Block()), Scale: 0.3, Window: n % 3 * 20}
			r.checkAttend(t, h, []span{{0, n, false}, {n - 1, n, true}, {n, n + 1, true}}, 16, 1)
		}
	}
}

// attendLong: contexts of many pages, with and without a window.
func attendLong(r *rig) {
	for i, t := range backend.CacheFormats {
		h := backend.Heads{Q: 4, KV: 2, Dim: 32, Scale: 0.25, Window: []int{0, 300, 0, 600}[i]}
		r.checkAttend(t, h, []span{{1500, 1501, true}, {700, 703, true}, {1000, 1002, false}}, 16, 3)
		// One or two rows, for which a device may split the positions.
		h.KV = 1
		r.checkAttend(t, h, []span{{1500, 1501, true}}, 64, 3)
		r.checkAttend(t, h, []span{{2100, 2101, true}, {300, 301, true}}, 64, 3)
	}
}

// cacheFormat is one of the formats of the cache that a head of dim can have.
func cacheFormat(turn, dim int) tensor.DType {
	t := backend.CacheFormats[turn%len(backend.CacheFormats)]
	if dim%t.Block() != 0 {
		return tensor.F16
	}
	return t
}

func (r *rig) checkAttend(t tensor.DType, h backend.Heads, spans []span, pageSize int, size float32) {
	r.Helper()
	name := fmt.Sprintf("Attend %v %+v, pages of %d, q·%g", t, h, pageSize, size)
	_, got, want := r.attended(name, t, h, spans, pageSize, size)
	r.within(name, got, want)
}

// attended runs Attend on random queries of a size and a random cache, and checks
// that it left both alone.
func (r *rig) attended(name string, t tensor.DType, h backend.Heads, spans []span, pageSize int, size float32) (b *backend.Batch, got []float32, want []expected) {
	r.Helper()
	pages := pagesFor(spans, pageSize)
	b = r.batch(spans, pageSize, pages)
	shareFirstPage(b, pageSize)
	kv := r.store(t, h, pageSize, r.cacheValues(h, b, pageSize, pages), r.cacheValues(h, b, pageSize, pages))
	cols := (h.Q + 2*h.KV) * h.Dim
	x := r.values(b.Rows() * cols)
	for i := range x {
		if x[i] *= size; i%cols >= h.Q*h.Dim {
			x[i] = nan // k and v come from the cache
		}
	}
	dst, qkv := r.output(b.Rows(), h.Q*h.Dim, nil), r.output(b.Rows(), cols, x)
	r.d.Attend(dst.Tensor, qkv.Tensor, kv.KV, h, b)
	for _, seq := range b.Seqs {
		for i := seq.First; i < seq.First+seq.Rows; i++ {
			rounds := backend.AttendRounds(r.d, t, i >= b.Decode)
			for head := range h.Q {
				q := x[i*cols+head*h.Dim:][:h.Dim]
				want = append(want, kv.want(q, seq.Pages, head/(h.Q/h.KV), int(b.Positions[i]), rounds)...)
			}
		}
	}
	got = r.result(name, dst)
	r.same(name+": qkv", r.result(name+": qkv", qkv), x)
	r.same(name+": K", r.read(kv.K), kv.k)
	r.same(name+": V", r.read(kv.V), kv.v)
	return b, got, want
}

// attendLoss bounds what rounding costs attention on the whole, on normal data: 1 %
// of the result, as a root mean square.
func attendLoss(r *rig) {
	for _, t := range backend.CacheFormats {
		h := backend.Heads{Q: 4, KV: 2, Dim: 64, Scale: 0.125}
		name := fmt.Sprintf("Attend %v", t)
		b, got, want := r.attended(name, t, h, []span{{180, 200, true}, {0, 200, false}}, 64, 1)
		for phase, rows := range [][2]int{{0, b.Decode}, {b.Decode, b.Rows()}} {
			miss, size := 0.0, 0.0
			for at := rows[0] * h.Q * h.Dim; at < rows[1]*h.Q*h.Dim; at++ {
				d := float64(got[at]) - want[at].value
				miss, size = miss+d*d, size+want[at].value*want[at].value
			}
			if loss := math.Sqrt(miss / size); !(loss <= activationLoss) {
				r.Errorf("%s, phase %d: the relative error is %.2g, want at most %g", name, phase, loss, activationLoss)
			}
		}
	}
}

// shareFirstPage lets two sequences that both fill their first page have it in
// common, as sequences with one prompt prefix do.
func shareFirstPage(b *backend.Batch, pageSize int) {
	var full []int
	for i, s := range b.Seqs {
		if int(b.Positions[s.First]) >= pageSize {
			full = append(full, i)
		}
	}
	if len(full) > 1 {
		b.Seqs[full[1]].Pages[0] = b.Seqs[full[0]].Pages[0]
	}
}

// want is the attention of one query head in float64, by a device that rounds what
// it multiplies to a format.
func (s *store) want(q []float32, pages []int32, head, position int, rounds tensor.DType) []expected {
	first := 0
	if s.h.Window > 0 {
		first = max(0, position-s.h.Window+1)
	}
	var weights, sizes []float64
	top, products := math.Inf(-1), 0.0
	for p := first; p <= position; p++ {
		k := s.k[s.at(pages, head, p):][:len(q)]
		sum, size := 0.0, 0.0
		for i, x := range q {
			y := float64(x) * float64(k[i]) * float64(s.h.Scale)
			sum, size = sum+y, size+math.Abs(y)
		}
		weights, sizes = append(weights, sum), append(sizes, size)
		top, products = max(top, sum), max(products, size)
	}
	values := func(i int) []float32 { return s.v[s.at(pages, head, first+i):][:len(q)] }
	total, want := 0.0, make([]expected, len(q))
	for i, score := range weights {
		weights[i] = math.Exp(score - top)
		total += weights[i]
		for j, v := range values(i) {
			want[j].value += weights[i] * float64(v)
			want[j].bound += weights[i] * math.Abs(float64(v))
		}
	}
	// An error d of every score changes every weight by 2d at most.
	relative := (2*(scoreBudget[s.K.Type]+4)*products + softmaxBudget) * ulp
	for j, w := range want {
		want[j] = expected{w.value / total, relative * w.bound / total}
	}
	if rounds == tensor.BF16 {
		addBF16AttendSlack(want, s.K.Type, weights, sizes, values)
	}
	return want
}
