package backendtest

import (
	"fmt"
	"math"

	"llorch/inference/backend"
)

// rmsNorm compares with the formula over widths, magnitudes and weight formats,
// and in place.
func rmsNorm(r *rig) {
	for _, t := range weightFormats {
		for _, cols := range []int{1, 7, 16, 33, 64, 100, 515, 2051} {
			for _, scale := range []float32{1, 1e-4, 1e6} {
				const n, eps = 3, 1e-5
				x, w := r.values(n*cols), r.weight(t, 1, cols, r.values(cols))
				for i := range x {
					x[i] *= scale
				}
				clear(x[cols : 2*cols]) // a row of zeros stays one
				var want []expected
				for i := range n {
					want = append(want, rmsNormWant(x[i*cols:(i+1)*cols], w.val, eps)...)
				}
				name := fmt.Sprintf("RMSNorm %v[%d], x·%g", t, cols, scale)
				dst := r.output(n, cols, nil)
				r.d.RMSNorm(dst.Tensor, r.input(n, cols, x), w.Tensor, eps)
				r.within(name, r.result(name, dst), want)
				inPlace := r.output(n, cols, x)
				r.d.RMSNorm(inPlace.Tensor, inPlace.Tensor, w.Tensor, eps)
				r.within(name+" in place", r.result(name, inPlace), want)
			}
		}
	}
}

func rmsNormWant(x, w []float32, eps float64) []expected {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	eps = float64(float32(eps)) // the op takes a float32
	root := math.Sqrt(sum/float64(len(x)) + eps)
	var want []expected
	for i, v := range x {
		y := float64(v) / root * float64(w[i])
		want = append(want, expected{y, normBudget * ulp * math.Abs(y)})
	}
	return want
}

// headNorm checks that q and k heads are normalised one by one, each with its
// weight, and that v is left alone.
func headNorm(r *rig) {
	for _, t := range weightFormats {
		for _, h := range []backend.Heads{{Q: 1, KV: 1, Dim: 16}, {Q: 6, KV: 2, Dim: 24}, {Q: 7, KV: 1, Dim: 80}, {Q: 4, KV: 4, Dim: 128}} {
			const n, eps = 3, 1e-6
			cols := (h.Q + 2*h.KV) * h.Dim
			x := r.values(n * cols)
			wq, wk := r.weight(t, 1, h.Dim, r.values(h.Dim)), r.weight(t, 1, h.Dim, r.values(h.Dim))
			qkv := r.output(n, cols, x)
			r.d.HeadNorm(qkv.Tensor, wq.Tensor, wk.Tensor, h, eps)
			var want []expected
			for i := range n * (h.Q + 2*h.KV) {
				head, weight := x[i*h.Dim:(i+1)*h.Dim], wq.val
				switch at := i % (h.Q + 2*h.KV); {
				case at >= h.Q+h.KV:
					for _, v := range head {
						want = append(want, expected{value: float64(v)})
					}
					continue
				case at >= h.Q:
					weight = wk.val
				}
				want = append(want, rmsNormWant(head, weight, eps)...)
			}
			name := fmt.Sprintf("HeadNorm %v %+v", t, h)
			r.within(name, r.result(name, qkv), want)
		}
	}
}

// swiGLU runs over widths, with gates from the range where exp overflows in
// float32 on either side.
func swiGLU(r *rig) {
	for _, cols := range []int{1, 5, 16, 31, 64, 333} {
		for _, scale := range []float32{1, 30, 1000} {
			const n = 3
			x := r.values(n * 2 * cols)
			for i := range x {
				x[i] *= scale
			}
			x[0] = 0
			dst := r.output(n, cols, nil)
			r.d.SwiGLU(dst.Tensor, r.input(n, 2*cols, x))
			var want []expected
			for i := range n {
				gate, up := x[2*i*cols:], x[(2*i+1)*cols:]
				for k := range cols {
					g := float64(gate[k])
					y := g / (1 + math.Exp(-g)) * float64(up[k])
					want = append(want, expected{y, swigluBudget*ulp*math.Abs(y) + tiny*math.Abs(float64(up[k]))})
				}
			}
			name := fmt.Sprintf("SwiGLU [%d] ·%g", cols, scale)
			r.within(name, r.result(name, dst), want)
		}
	}
}
