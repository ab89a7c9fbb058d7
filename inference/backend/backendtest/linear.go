package backendtest

import (
	"fmt"
	"math"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// part is one matrix of a projection with the values its bytes mean.
type part struct{ w, b weight }

// linearShapes cover one row, odd sizes, tails of any vector width, and more
// rows than a tile has.
var linearShapes = []struct{ n, in, out, decode int }{
	{1, 1, 1, 1}, {1, 3, 5, 1}, {1, 16, 16, 0}, {1, 31, 7, 1}, {1, 64, 33, 1}, {1, 129, 9, 0},
	{2, 257, 17, 2}, {3, 40, 64, 1}, {5, 1000, 3, 5}, {8, 96, 20, 8}, {16, 72, 35, 9}, {17, 63, 48, 3},
	{65, 50, 37, 0}, {70, 33, 18, 6}, {130, 24, 40, 1}, {1, 11008, 3, 1}, {4, 5632, 2, 1},
}

// linear compares Linear and LinearAdd with their formula for every format.
func linear(r *rig) {
	for _, t := range allFormats {
		for _, s := range linearShapes {
			s.in = fitted(t, s.in)
			name := fmt.Sprintf("%v %+v", t, s)
			w := []part{{w: r.weight(t, s.out, s.in, r.values(s.out*s.in))}}
			r.checkLinear(name, s.n, s.in, s.decode, w)
		}
	}
}

// linearRange: each output row has weights of one magnitude, from the smallest
// subnormal of the narrowest format to its largest number.
func linearRange(r *rig) {
	const n, in = 4, 50
	sizes := []float32{1.0 / (1 << 24), 3.0 / (1 << 24), 1.0 / (1 << 15), 1.0 / (1 << 14), 1e-3, 1, 300, 65504, 0}
	for _, t := range weightFormats {
		var v []float32
		for _, size := range sizes {
			for range in {
				v = append(v, size*float32(1-2*r.rnd.IntN(2)))
			}
		}
		r.checkLinear(fmt.Sprintf("%v of all magnitudes", t), n, in, 2, []part{{w: r.weight(t, len(sizes), in, v)}})
	}
}

// linearParts stacks one to four matrices of different formats, with biases and
// without: first those that have odd rows, then all.
func linearParts(r *rig) {
	r.checkParts(weightFormats, 45)
	r.checkParts(allFormats, 512)
}

func (r *rig) checkParts(formats []tensor.DType, in int) {
	const n = 5
	outs := []int{13, 1, 32, 6}
	for parts := 1; parts <= 4; parts++ {
		for first := range formats {
			for bias := range 3 { // none, all, every second
				var ps []part
				for i, out := range outs[:parts] {
					t := formats[(first+4*i)%len(formats)]
					p := part{w: r.weight(t, out, in, r.values(out*in))}
					if bias == 1 || bias == 2 && i%2 == 0 {
						p.b = r.weight(weightFormats[(first+2*i)%len(weightFormats)], 1, out, r.values(out))
					}
					ps = append(ps, p)
				}
				r.checkLinear(fmt.Sprintf("%d parts from %v, bias %d", parts, formats[first], bias), n, in, 2, ps)
			}
		}
	}
}

// linearAlignment moves the weights by every offset of a cache line, odd ones
// included, first right behind and then right before a page that cannot be read.
func linearAlignment(r *rig) {
	const n, out = 3, 11
	for _, t := range allFormats {
		in := fitted(t, 37)
		encoded := make([]byte, out*t.RowBytes(in))
		t.Encode(encoded, r.values(out*in))
		for off := range 64 {
			size := len(encoded)
			front, back := r.mapped(size+off, false)[off:], r.mapped(size+off, true)[:size]
			for _, host := range [][]byte{front, back} {
				copy(host, encoded)
				w := []part{{w: r.placeBytes(t, out, in, host)}}
				r.checkLinear(fmt.Sprintf("%v at +%d", t, off), n, in, 1, w)
			}
		}
	}
}

// checkLinear runs both ops on random rows, the first `decode` of them as decode
// rows.
func (r *rig) checkLinear(name string, n, in, decode int, ps []part) {
	r.Helper()
	x, l := r.values(n*in), linearOf(ps)
	old := r.values(n * l.Out())
	for _, add := range []bool{false, true} {
		dst := r.output(n, l.Out(), nil)
		if add {
			dst = r.output(n, l.Out(), old)
			r.d.LinearAdd(dst.Tensor, r.input(n, in, x), l, phases(n, decode))
			r.within("LinearAdd "+name, r.result(name, dst), r.linearWant(x, in, ps, old, decode))
			continue
		}
		r.d.Linear(dst.Tensor, r.input(n, in, x), l, phases(n, decode))
		r.within("Linear "+name, r.result(name, dst), r.linearWant(x, in, ps, nil, decode))
	}
}

func linearOf(ps []part) backend.Linear {
	var l backend.Linear
	for _, p := range ps {
		l = append(l, backend.Part{W: p.w.Tensor, B: p.b.Tensor})
	}
	return l
}

// linearWant is x·Wᵀ + B (+ old) in float64; the first `decode` rows of x are of
// that phase.
func (r *rig) linearWant(x []float32, in int, ps []part, old []float32, decode int) []expected {
	var want []expected
	for i := range len(x) / in {
		row := x[i*in : (i+1)*in]
		for _, p := range ps {
			for o := range p.w.Rows {
				sum, size := 0.0, 0.0
				for k, xk := range row {
					y := float64(xk) * float64(p.w.val[o*in+k])
					sum, size = sum+y, size+math.Abs(y)
				}
				if p.b.val != nil {
					sum, size = sum+float64(p.b.val[o]), size+math.Abs(float64(p.b.val[o]))
				}
				if old != nil {
					y := float64(old[len(want)])
					sum, size = sum+y, size+math.Abs(y)
				}
				bound := (1 + linearBudget(p.w.Type)) * ulp * size
				want = append(want, expected{sum, bound + r.roundingSlack(p.w.Type, i < decode, row, p.w.val[o*in:][:in])})
			}
		}
	}
	return want
}

// phases is a batch of n rows, each a sequence of its own, of which the first
// `decode` are decode rows. It serves ops that do not look at a cache.
func phases(n, decode int) *backend.Batch {
	b := &backend.Batch{Tokens: make([]int32, n), Positions: make([]int32, n), Decode: decode}
	for i := range n {
		b.Seqs = append(b.Seqs, backend.Seq{First: i, Rows: 1, Pages: []int32{int32(i)}})
		b.Logits = append(b.Logits, int32(i))
	}
	return b
}

// linearExact checks what must hold bit for bit: no input gives the bias, twice
// the input gives twice the output.
func linearExact(r *rig) {
	const n, out = 9, 21
	for _, t := range allFormats {
		in := fitted(t, 75)
		for decode := range n + 1 {
			w, b := r.weight(t, out, in, r.values(out*in)), r.weight(tensor.F32, 1, out, r.values(out))
			batch := phases(n, decode)
			zero := r.output(n, out, nil)
			r.d.Linear(zero.Tensor, r.input(n, in, make([]float32, n*in)), backend.Linear{{W: w.Tensor, B: b.Tensor}}, batch)
			var want []float32
			for range n {
				want = append(want, b.val...)
			}
			r.same(fmt.Sprintf("%v of nothing, %d decode rows", t, decode), r.result("zero", zero), want)

			x := r.values(n * in)
			once := r.linearBits(x, in, w, batch)
			for i := range x {
				x[i] *= 2
			}
			for i := range once {
				once[i] *= 2
			}
			r.same(fmt.Sprintf("%v of twice x, %d decode rows", t, decode), r.linearBits(x, in, w, batch), once)
		}
	}
}

func (r *rig) linearBits(x []float32, in int, w weight, b *backend.Batch) []float32 {
	r.Helper()
	n := len(x) / in
	dst := r.output(n, w.Rows, nil)
	r.d.Linear(dst.Tensor, r.input(n, in, x), backend.Linear{{W: w.Tensor}}, b)
	return r.result("Linear", dst)
}

// linearRows: a row has the same bits alone and among others of any phase, and
// no batch means decode.
func linearRows(r *rig) {
	const out = 50
	for _, t := range allFormats {
		in := fitted(t, 203)
		w := r.weight(t, out, in, r.values(out*in))
		x := r.values(80 * in)
		alone := [2][]float32{}
		for i := range 80 {
			for phase := range 2 {
				alone[phase] = append(alone[phase], r.linearBits(x[i*in:(i+1)*in], in, w, phases(1, phase))...)
			}
		}
		for _, n := range []int{2, 3, 7, 16, 33, 80} {
			for _, decode := range []int{0, 1, n / 2, n} {
				got := r.linearBits(x[:n*in], in, w, phases(n, decode))
				name := fmt.Sprintf("%v, %d rows of which %d decode", t, n, decode)
				r.same(name+": decode rows", got[:decode*out], alone[1][:decode*out])
				r.same(name+": prefill rows", got[decode*out:], alone[0][decode*out:n*out])
			}
			r.same(fmt.Sprintf("%v, %d rows without a batch", t, n), r.linearBits(x[:n*in], in, w, nil), alone[1][:n*out])
		}
	}
}
