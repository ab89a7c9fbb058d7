//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// stretch is one sequence's share of a batch: positions [from, to).
type stretch struct{ from, to int }

// attendRig is a cache of random numbers, NaN where no row of its batch may look.
type attendRig struct {
	d     *Device
	h     backend.Heads
	kv    backend.KV
	k, v  []float32
	batch *backend.Batch
	qkv   backend.Tensor
	x     []float32
}

const rigPage = 16

func newAttendRig(t testing.TB, d *Device, format tensor.DType, h backend.Heads, decode, prefill []stretch) *attendRig {
	t.Helper()
	rnd := rand.New(rand.NewPCG(7, uint64(h.Dim)))
	r := &attendRig{d: d, h: h, batch: &backend.Batch{}}
	pages := 1
	for _, s := range slices.Concat(decode, prefill) {
		pages += ceil(s.to, rigPage)
	}
	free := rnd.Perm(pages)
	r.k, r.v = make([]float32, pages*h.KV*rigPage*h.Dim), make([]float32, pages*h.KV*rigPage*h.Dim)
	for i := range r.k {
		r.k[i] = float32(math.NaN())
	}
	copy(r.v, r.k)
	for i, s := range slices.Concat(decode, prefill) {
		free = r.add(rnd, s, free)
		if i+1 == len(decode) {
			r.batch.Decode = r.batch.Rows()
		}
	}
	r.x = make([]float32, r.batch.Rows()*(h.Q+2*h.KV)*h.Dim)
	for i := range r.x {
		r.x[i] = 2 * float32(rnd.NormFloat64())
	}
	r.kv = backend.KV{K: put(t, d, backend.Cache, format, h.Dim, r.k), V: put(t, d, backend.Cache, format, h.Dim, r.v), PageSize: rigPage}
	r.qkv = put(t, d, backend.Scratch, tensor.F32, (h.Q+2*h.KV)*h.Dim, r.x)
	return r
}

// add appends a sequence, fills what it sees, and returns the pages that are left.
func (r *attendRig) add(rnd *rand.Rand, s stretch, free []int) []int {
	b := r.batch
	seq := backend.Seq{First: b.Rows(), Rows: s.to - s.from}
	for range ceil(s.to, rigPage) {
		seq.Pages, free = append(seq.Pages, int32(free[0])), free[1:]
	}
	for p := s.from; p < s.to; p++ {
		b.Tokens, b.Positions = append(b.Tokens, 0), append(b.Positions, int32(p))
	}
	b.Seqs = append(b.Seqs, seq)
	begin := 0
	if r.h.Window > 0 {
		begin = max(0, s.from-r.h.Window+1)
	}
	for p := begin; p < s.to; p++ {
		for head := range r.h.KV {
			at := r.at(seq.Pages, head, p)
			for i := range r.h.Dim {
				r.k[at+i], r.v[at+i] = float32(rnd.NormFloat64()), float32(rnd.NormFloat64())
			}
		}
	}
	return free
}

func (r *attendRig) at(pages []int32, head, p int) int {
	return ((int(pages[p/rigPage])*r.h.KV+head)*rigPage + p%rigPage) * r.h.Dim
}

// put uploads v, and leaves in v what the format made of it.
func put(t testing.TB, d *Device, use backend.Use, format tensor.DType, cols int, v []float32) backend.Tensor {
	t.Helper()
	m, err := d.Alloc(use, format, len(v)/cols, cols)
	if err != nil {
		t.Fatal(err)
	}
	host := make([]byte, m.Bytes())
	format.Encode(host, v)
	format.Decode(v, host)
	d.Upload(m, host)
	return m
}

// run computes attention of a batch into poisoned memory.
func (r *attendRig) run(t testing.TB, b *backend.Batch, qkv backend.Tensor) []float32 {
	t.Helper()
	y := make([]float32, b.Rows()*r.h.Q*r.h.Dim)
	for i := range y {
		y[i] = float32(math.NaN())
	}
	dst := put(t, r.d, backend.Scratch, tensor.F32, r.h.Q*r.h.Dim, y)
	r.d.Attend(dst, qkv, r.kv, r.h, b)
	r.d.Download(driver.Bytes(y), dst)
	if err := r.d.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := r.d.release(address(dst)); err != nil {
		t.Fatal(err)
	}
	return y
}

// want is the attention of one head of a row in float64.
func (r *attendRig) want(seq *backend.Seq, row, head int) []float64 {
	q := r.x[row*(r.h.Q+2*r.h.KV)*r.h.Dim+head*r.h.Dim:][:r.h.Dim]
	position, first := int(r.batch.Positions[row]), 0
	if r.h.Window > 0 {
		first = max(0, position-r.h.Window+1)
	}
	scores, top, total := []float64{}, math.Inf(-1), 0.0
	for p := first; p <= position; p++ {
		s := 0.0
		for i, k := range r.k[r.at(seq.Pages, head/(r.h.Q/r.h.KV), p):][:r.h.Dim] {
			s += float64(q[i]) * float64(k)
		}
		scores, top = append(scores, s*float64(r.h.Scale)), max(top, s*float64(r.h.Scale))
	}
	y := make([]float64, r.h.Dim)
	for i, s := range scores {
		w := math.Exp(s - top)
		total += w
		for j, v := range r.v[r.at(seq.Pages, head/(r.h.Q/r.h.KV), first+i):][:r.h.Dim] {
			y[j] += w * float64(v)
		}
	}
	for j := range y {
		y[j] /= total
	}
	return y
}

// loss is the relative error of rows, as a root mean square.
func (r *attendRig) loss(got []float32, from, to, step int) float64 {
	miss, size := 0.0, 0.0
	for i := range r.batch.Seqs {
		seq := &r.batch.Seqs[i]
		for row := max(seq.First, from); row < min(seq.First+seq.Rows, to); row += step {
			for head := range r.h.Q {
				for j, w := range r.want(seq, row, head) {
					e := float64(got[(row*r.h.Q+head)*r.h.Dim+j]) - w
					miss, size = miss+e*e, size+w*w
				}
			}
		}
	}
	return math.Sqrt(miss / size)
}

// Lengths around every number at which the kernels cut, and long ones.
var attendLengths = []int{1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 191, 192, 193, 300, 511, 512, 513, 1000, 2049, 5000}

func lastOf(lengths []int) (s []stretch) {
	for _, n := range lengths {
		s = append(s, stretch{n - 1, n})
	}
	return s
}

// TestAttendFast compares the fast kernels with float64, and two runs bit for bit.
func TestAttendFast(t *testing.T) {
	d := openHardware(t)
	defer func() { _ = d.Close() }()
	turn := 0
	for _, dim := range attendDims {
		for _, group := range []int{1, 4, 7, 8, 9} {
			h := backend.Heads{Q: 2 * group, KV: 2, Dim: dim, Scale: float32(1 / math.Sqrt(float64(dim)))}
			h.Window = []int{0, 100, 0, 1000}[turn%4]
			format := attendFormats[turn/2%2]
			lengths := attendLengths
			if turn++; group != 4 { // the long ones take the host's time
				lengths = lengths[:16]
			}
			r := newAttendRig(t, d, format, h, lastOf(lengths), []stretch{{0, 1}, {0, 200}, {96, 230}, {448, 480}})
			got := r.run(t, r.batch, r.qkv)
			decode, prefill := r.loss(got, 0, r.batch.Decode, 1), r.loss(got, r.batch.Decode, r.batch.Rows(), 7)
			bound := map[tensor.DType]float64{tensor.F16: 1e-3, tensor.BF16: 6e-3}[format]
			if name := fmt.Sprintf("%v %+v", format, h); !(decode < bound) || !(prefill < bound) {
				t.Errorf("%s: losses %.2g and %.2g", name, decode, prefill)
			} else if group == 4 {
				t.Logf("%s: losses %.2g and %.2g", name, decode, prefill)
			}
			sameFloats(t, fmt.Sprintf("%v %+v, again", format, h), r.run(t, r.batch, r.qkv), got)
			r.free(t)
		}
	}
}

// TestAttendWide: so many short prompts that they go by wide tiles.
func TestAttendWide(t *testing.T) {
	d := openHardware(t)
	for _, format := range attendFormats {
		r := newAttendRig(t, d, format, backend.Heads{Q: 1, KV: 1, Dim: 128, Scale: 0.09}, nil, slices.Repeat([]stretch{{0, 64}}, 17))
		bound := map[tensor.DType]float64{tensor.F16: 1e-3, tensor.BF16: 6e-3}[format]
		if loss := r.loss(r.run(t, r.batch, r.qkv), 0, r.batch.Rows(), 7); !wideTiles(r.batch) || !(loss < bound) {
			t.Errorf("%v, %d rows: a loss of %.2g", format, r.batch.Rows(), loss)
		}
		r.free(t)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func (r *attendRig) free(t testing.TB) {
	for _, m := range []backend.Tensor{r.kv.K, r.kv.V, r.qkv} {
		if err := r.d.release(address(m)); err != nil {
			t.Fatal(err)
		}
	}
}

func sameFloats(t *testing.T, name string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Errorf("%s: element %d of %d is %v, want %v", name, i, len(want), got[i], want[i])
			return
		}
	}
}

// TestAttendAlone: rows have the bits they have alone, wherever a prompt is cut.
func TestAttendAlone(t *testing.T) {
	d := openHardware(t)
	defer func() { _ = d.Close() }()
	for i, dim := range []int{64, 128, 256, 80, 128} {
		h := backend.Heads{Q: 8, KV: 2, Dim: dim, Window: []int{0, 0, 90, 300, 0}[i], Scale: float32(1 / math.Sqrt(float64(dim)))}
		if i == 4 { // a query head for each key head
			h.Q = 2
		}
		decode := slices.Concat(lastOf(attendLengths), slices.Repeat([]stretch{{700, 720}}, 20)) // more blocks than fit at once
		r := newAttendRig(t, d, attendFormats[i%2], h, decode, []stretch{{0, 900}, {64, 200}})   // rows enough for wide tiles
		got := r.run(t, r.batch, r.qkv)
		for _, seq := range r.batch.Seqs {
			for _, cut := range []int{1, 2, 7, 8} { // quanta of a chunk, or rows
				if cut > 1 && seq.First < r.batch.Decode && seq.Rows == 1 {
					continue
				}
				r.alone(t, seq, cut, got)
			}
		}
		r.free(t)
	}
}

// alone runs a sequence in chunks by itself.
func (r *attendRig) alone(t *testing.T, seq backend.Seq, cut int, want []float32) {
	t.Helper()
	decode := seq.First < r.batch.Decode
	if !decode {
		cut *= backend.ChunkQuantum
	}
	cols := r.h.Q * r.h.Dim
	for at := seq.First; at < seq.First+seq.Rows; at += cut {
		n := min(cut, seq.First+seq.Rows-at)
		b := &backend.Batch{Tokens: make([]int32, n), Positions: r.batch.Positions[at : at+n], Seqs: []backend.Seq{{Rows: n, Pages: seq.Pages}}}
		if decode {
			b.Decode = n
		}
		got := r.run(t, b, r.qkv.Slice(at, at+n))
		sameFloats(t, fmt.Sprintf("%+v, rows %d+%d from position %d", r.h, at, n, b.Positions[0]), got, want[at*cols:(at+n)*cols])
	}
}
