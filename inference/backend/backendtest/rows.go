package backendtest

import (
	"fmt"
)

// embed: rows of the table come out as Decode gives them, bit for bit, the first
// and last id and repeated ids included.
func embed(r *rig) {
	for _, t := range allFormats {
		for _, cols := range []int{1, 8, 33, 200} {
			const vocab = 19
			cols = fitted(t, cols)
			table := r.weight(t, vocab, cols, r.values(vocab*cols))
			b := phases(7, 3)
			copy(b.Tokens, []int32{18, 0, 5, 5, 18, 17, 1})
			dst := r.output(7, cols, nil)
			r.d.Embed(dst.Tensor, table.Tensor, b)
			var want []float32
			for _, id := range b.Tokens {
				want = append(want, table.val[int(id)*cols:(int(id)+1)*cols]...)
			}
			name := fmt.Sprintf("Embed %v[%d]", t, cols)
			r.same(name, r.result(name, dst), want)
		}
	}
}

// rows moves chosen rows bit for bit.
func rows(r *rig) {
	for _, cols := range []int{1, 17, 130} {
		for _, logits := range [][]int32{{0}, {9}, {0, 3, 4, 9}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}} {
			x := r.values(10 * cols)
			b := phases(10, 4)
			b.Logits = logits
			dst := r.output(len(logits), cols, nil)
			r.d.Rows(dst.Tensor, r.input(10, cols, x), b)
			var want []float32
			for _, i := range logits {
				want = append(want, x[int(i)*cols:(int(i)+1)*cols]...)
			}
			name := fmt.Sprintf("Rows [%d] %v", cols, logits)
			r.same(name, r.result(name, dst), want)
		}
	}
}

// notFinite: NaN and infinity come out where the formula puts them, and nowhere
// else.
func notFinite(r *rig) {
	const n, in, out = 5, 37, 19
	for _, decode := range []int{0, n} {
		for _, bad := range []float32{nan, inf, -inf} {
			w := r.weight(weightFormats[0], out, in, r.values(out*in))
			x := r.values(n * in)
			x[2*in+in-1] = bad
			r.poisoned(fmt.Sprintf("Linear of %v, %d decode rows", bad, decode), r.linearBits(x, in, w, phases(n, decode)), out, 2)

			v := r.values(out * in)
			v[7*in] = bad
			for _, t := range weightFormats {
				y := r.linearBits(r.values(n*in), in, r.weight(t, out, in, v), phases(n, decode))
				r.poisoned(fmt.Sprintf("Linear with a weight %v of %v", t, bad), transposed(y, out), n, 7)
			}
		}
	}
	one := r.weight(weightFormats[0], 1, in, r.values(in))
	x := r.values(n * in)
	x[2*in+5] = nan
	dst := r.output(n, in, nil)
	r.d.RMSNorm(dst.Tensor, r.input(n, in, x), one.Tensor, 1e-5)
	r.poisoned("RMSNorm of NaN", r.result("RMSNorm", dst), in, 2)

	gateUp := r.values(n * 2)
	gateUp[4] = nan
	dst = r.output(n, 1, nil)
	r.d.SwiGLU(dst.Tensor, r.input(n, 2, gateUp))
	r.poisoned("SwiGLU of a NaN gate", r.result("SwiGLU", dst), 1, 2)
	gateUp[4], gateUp[5] = 1, inf
	dst = r.output(n, 1, nil)
	r.d.SwiGLU(dst.Tensor, r.input(n, 2, gateUp))
	r.poisoned("SwiGLU of an infinite up", r.result("SwiGLU", dst), 1, 2)
}

// poisoned: row `bad` has no finite element, every other row has only such.
func (r *rig) poisoned(name string, v []float32, cols, bad int) {
	r.Helper()
	for i, x := range v {
		finite := x-x == 0
		if finite != (i/cols != bad) {
			r.Errorf("%s: row %d, column %d is %v", name, i/cols, i%cols, x)
			return
		}
	}
}

func transposed(v []float32, cols int) []float32 {
	out := make([]float32, 0, len(v))
	for c := range cols {
		for i := c; i < len(v); i += cols {
			out = append(out, v[i])
		}
	}
	return out
}
