//go:build cgo

package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// context is a cache of one sequence with random keys and values, as they are
// after they were rounded to its format.
type context struct {
	testing.TB
	d     backend.Device
	h     backend.Heads
	kv    backend.KV
	pages []int32
	k, v  []float32
}

func newContext(t testing.TB, d backend.Device, r *rand.Rand, f tensor.DType, h backend.Heads, positions, page int) *context {
	t.Helper()
	n := (positions + page - 1) / page
	c := &context{TB: t, d: d, h: h, kv: backend.KV{PageSize: page}}
	for _, p := range r.Perm(n) {
		c.pages = append(c.pages, int32(p))
	}
	for _, side := range []struct {
		m *backend.Tensor
		v *[]float32
	}{{&c.kv.K, &c.k}, {&c.kv.V, &c.v}} {
		m, err := d.Alloc(backend.Cache, f, n*h.KV*page, h.Dim)
		if err != nil {
			t.Fatal(err)
		}
		*side.m, *side.v = m, normals(r, m.Rows*m.Cols)
		c.set(m, *side.v)
	}
	return c
}

// set writes v to one side of the cache, and to v what that became.
func (c *context) set(m backend.Tensor, v []float32) {
	m.Type.Encode(m.Host(), v)
	m.Type.Decode(v, m.Host())
}

// at is where the elements of a key head at a position begin.
func (c *context) at(head, pos int) int {
	return ((int(c.pages[pos/c.kv.PageSize])*c.h.KV+head)*c.kv.PageSize + pos%c.kv.PageSize) * c.h.Dim
}

// attend returns what rows of queries [rows × Q·Dim] at positions from `first`
// get as a prefill.
func (c *context) attend(q []float32, first int) []float32 {
	c.Helper()
	cols, width := c.h.Q*c.h.Dim, (c.h.Q+2*c.h.KV)*c.h.Dim
	rows := len(q) / cols
	b := &backend.Batch{Tokens: make([]int32, rows), Seqs: []backend.Seq{{Rows: rows, Pages: c.pages}}}
	x := make([]float32, rows*width)
	for i := range rows {
		b.Positions = append(b.Positions, int32(first+i))
		copy(x[i*width:], q[i*cols:(i+1)*cols])
	}
	dst := input(c, c.d, rows, cols, nil)
	c.d.Attend(dst, input(c, c.d, rows, width, x), c.kv, c.h, b)
	if err := c.d.Sync(); err != nil {
		c.Fatal(err)
	}
	return dst.Float32s()
}

func bf16(x float32) float64 { return float64(tensor.BF16ToFloat32(tensor.Float32ToBF16(x))) }

// rounded computes what an attention that rounds to bf16 must give one query: the
// steps of the kernel in float64 on the rounded queries, keys and values, tile by
// tile, with weights rounded to bf16 where it is certain to which neighbour. The
// bound is that of float32 sums, and a step of the weights that are not certain.
func (c *context) rounded(q []float32, head, pos int) (y, bound []float64) {
	const tile, lazy, ulp = 64, 8, 1.0 / (1 << 24)
	first := 0
	if c.h.Window > 0 {
		first = max(0, pos-c.h.Window+1)
	}
	top, total := -math.MaxFloat32, 0.0
	y, bound = make([]float64, len(q)), make([]float64, len(q))
	steps := map[int]float64{} // by position: half a step of a weight that may be the other neighbour
	for j := first / tile * tile; j <= pos; j += tile {
		from, to := max(first, j), min(pos+1, j+tile)
		scores, size, most := make([]float64, 0, tile), 0.0, math.Inf(-1)
		for p := from; p < to; p++ {
			sum, mag := 0.0, 0.0
			for i, k := range c.k[c.at(head, p):][:len(q)] {
				s := bf16(q[i]*c.h.Scale) * bf16(k)
				sum, mag = sum+s, mag+math.Abs(s)
			}
			scores, size, most = append(scores, sum), max(size, mag), max(most, sum)
		}
		if most > top+lazy {
			alpha := math.Exp(top - most)
			top, total = most, total*alpha
			for i := range y {
				y[i], bound[i] = y[i]*alpha, bound[i]*alpha
			}
			for p := range steps {
				steps[p] *= alpha
			}
		}
		for i, s := range scores {
			exact := math.Exp(s - top)
			w, unsure := bf16(float32(exact)), exact*(2*8*size+8)*ulp
			if bf16(float32(exact-unsure)) != bf16(float32(exact+unsure)) {
				steps[from+i] = exact / (1 << 7)
			}
			total += w
			for d, v := range c.v[c.at(head, from+i):][:len(q)] {
				y[d], bound[d] = y[d]+w*bf16(v), bound[d]+32*ulp*w*math.Abs(bf16(v))
			}
		}
	}
	for d := range y {
		y[d] /= total
		for p, step := range steps {
			bound[d] += step * math.Abs(bf16(c.v[c.at(head, p)+d])-y[d])
		}
		bound[d] /= total
	}
	return y, bound
}

// rounding are the instruction sets of this host whose attention rounds prompts.
func rounding(t *testing.T) (isas []string) {
	for _, isa := range everyISA() {
		if backend.AttendRounds(device(t, isa, 1), tensor.F16, true) == tensor.BF16 {
			isas = append(isas, isa)
		}
	}
	if len(isas) == 0 {
		t.Skip("no instruction set here rounds")
	}
	return isas
}

// TestAttendRounded holds attention that rounds against the same steps in float64,
// for heads of all sizes and groups, windows, pages, contexts, scores whose maximum
// grows from tile to tile, and values that are all alike.
func TestAttendRounded(t *testing.T) {
	for _, isa := range rounding(t) {
		d := device(t, isa, 2)
		r := rand.New(rand.NewPCG(21, 7))
		for i, c := range []struct {
			f                                               tensor.DType
			group, kv, dim, rows, first, window, page, grow int
		}{
			{tensor.F16, 8, 2, 64, 70, 0, 0, 64, 0}, {tensor.BF16, 4, 1, 128, 64, 64, 0, 64, 0}, {tensor.F16, 3, 1, 80, 33, 160, 0, 16, 3},
			{tensor.Q8_0, 2, 2, 96, 40, 7, 50, 64, 0}, {tensor.F16, 1, 1, 256, 100, 32, 0, 32, 1}, {tensor.BF16, 9, 1, 18, 20, 100, 64, 8, 5},
			{tensor.F16, 1, 3, 16, 17, 0, 1, 64, 0}, {tensor.F16, 5, 1, 2, 129, 3, 200, 16, 9}, {tensor.F16, 8, 1, 64, 1, 319, 0, 64, 2},
			{tensor.BF16, 2, 1, 34, 66, 500, 0, 64, -1},
		} {
			h := backend.Heads{Q: c.group * c.kv, KV: c.kv, Dim: c.dim, Window: c.window, Scale: float32(1 / math.Sqrt(float64(c.dim)))}
			x := newContext(t, d, r, c.f, h, c.first+c.rows, c.page)
			for p := range c.first + c.rows {
				for e := range c.kv * c.dim {
					at := x.at(e/c.dim, p) + e%c.dim
					if x.k[at] *= 1 + float32(c.grow*p)/64; c.grow < 0 {
						x.v[at] = float32(e%c.dim) - 7
					}
				}
			}
			x.set(x.kv.K, x.k)
			x.set(x.kv.V, x.v)
			q := normals(r, c.rows*h.Q*c.dim)
			got := x.attend(q, c.first)
			for at := 0; at < len(q); at += c.dim {
				y, bound := x.rounded(q[at:at+c.dim], at/c.dim%h.Q/c.group, c.first+at/(h.Q*c.dim))
				for e := range y {
					if !(math.Abs(float64(got[at+e])-y[e]) <= bound[e]) {
						t.Fatalf("%s, case %d %+v: row %d, head %d, element %d is %v, want %v ± %.2g", isa, i, c, at/(h.Q*c.dim), at/c.dim%h.Q, e, got[at+e], y[e], bound[e])
					}
				}
			}
		}
	}
}

// TestAttendCuts: a prefill row has the same bits whatever rows are computed with
// it and in one chunk with it, and with any number of threads.
func TestAttendCuts(t *testing.T) {
	const rows = 230
	for _, isa := range everyISA() {
		for _, c := range []struct {
			f                             tensor.DType
			kv, group, dim, first, window int
		}{{tensor.F16, 1, 8, 64, 64, 0}, {tensor.BF16, 1, 3, 80, 0, 100}, {tensor.Q8_0, 1, 1, 96, 32, 40}, {tensor.F16, 2, 4, 128, 0, 0},
			{tensor.F16, 1, 5, 18, 96, 7}, {tensor.F16, 16, 1, 16, 32, 70}} { // the last so many heads that an item has all rows
			h := backend.Heads{Q: c.kv * c.group, KV: c.kv, Dim: c.dim, Window: c.window, Scale: 0.5}
			var want []float32
			for threads := 1; threads <= 3; threads++ {
				d := device(t, isa, threads)
				r := rand.New(rand.NewPCG(22, 3))
				x := newContext(t, d, r, c.f, h, c.first+rows, 64)
				q := normals(r, rows*h.Q*c.dim)
				if want == nil {
					want = slices.Clone(x.attend(q, c.first))
				}
				for _, cut := range []int{32, 64, 96, rows} {
					for from := 0; from < rows; from += cut {
						for _, to := range []int{min(from+cut, rows), min(from+7, rows)} {
							sameBits(t, fmt.Sprintf("%s %+v: rows [%d, %d) with %d threads", isa, c, from, to, threads),
								x.attend(q[from*h.Q*c.dim:to*h.Q*c.dim], c.first+from), want[from*h.Q*c.dim:to*h.Q*c.dim])
						}
					}
				}
			}
		}
	}
}

// TestAttendNotFinite: a query that is not finite spoils its head of its row and
// nothing else; a NaN among the keys or a value that is not finite spoils the rows
// that see it, and no row of an earlier tile.
func TestAttendNotFinite(t *testing.T) {
	const rows, bad, dim = 130, 70, 48
	h := backend.Heads{Q: 3, KV: 1, Dim: dim, Scale: 0.2}
	for _, isa := range everyISA() {
		d := device(t, isa, 2)
		for _, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			for _, what := range []string{"query", "key", "value"} {
				r := rand.New(rand.NewPCG(23, 5))
				x := newContext(t, d, r, tensor.F16, h, rows, 16)
				q := normals(r, rows*h.Q*dim)
				switch what {
				case "query":
					q[(bad*h.Q+1)*dim+5] = v
				case "key":
					x.k[x.at(0, bad)+5] = float32(math.NaN())
				case "value":
					x.v[x.at(0, bad)+5] = v
				}
				x.set(x.kv.K, x.k)
				x.set(x.kv.V, x.v)
				for i, y := range x.attend(q, 0) {
					row, head := i/(h.Q*dim), i/dim%h.Q
					spoiled, free := row >= bad, row < bad/64*64
					switch what {
					case "query":
						spoiled = row == bad && head == 1
						free = !spoiled
					case "value":
						spoiled = spoiled && i%dim == 5
						free = free || i%dim != 5
					}
					if finite := y-y == 0; finite && spoiled || !finite && free {
						t.Fatalf("%s: a %s of %v: row %d, head %d, element %d is %v", isa, what, v, row, head, i%dim, y)
					}
				}
			}
		}
	}
}
