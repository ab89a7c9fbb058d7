package ref

import (
	"math"

	"llorch/inference/backend"
)

// RMSNorm: dst = x / √(mean(x²) + eps) · w (Zhang, Sennrich: "Root Mean Square
// Layer Normalization", 2019).
func (d *Device) RMSNorm(dst, x, w backend.Tensor, eps float32) {
	out, in := dst.Float32s(), x.Float32s()
	d.each("RMSNorm", x.Rows, func(wk *worker, i int) {
		from, to := i*x.Cols, (i+1)*x.Cols
		rmsNorm(out[from:to], in[from:to], wk.decode(w, 0), eps)
	})
}

func rmsNorm(dst, x, w []float32, eps float32) {
	scale := 1 / math.Sqrt(dot(x, x)/float64(len(x))+float64(eps))
	for k := range dst {
		dst[k] = float32(float64(x[k]) * scale * float64(w[k]))
	}
}

// HeadNorm normalises each head of q and k by itself.
func (d *Device) HeadNorm(qkv, wq, wk backend.Tensor, h backend.Heads, eps float32) {
	all := qkv.Float32s()
	d.each("HeadNorm", qkv.Rows, func(w *worker, i int) {
		row := all[i*qkv.Cols:]
		for head := range h.Q + h.KV {
			weight := wq
			if head >= h.Q {
				weight = wk
			}
			x := row[head*h.Dim : (head+1)*h.Dim]
			rmsNorm(x, x, w.decode(weight, 0), eps)
		}
	})
}

// SwiGLU: dst = gate/(1+exp(−gate))·up.
func (d *Device) SwiGLU(dst, gateUp backend.Tensor) {
	out, in, n := dst.Float32s(), gateUp.Float32s(), dst.Cols
	d.each("SwiGLU", dst.Rows, func(_ *worker, i int) {
		gate, up := in[2*i*n:(2*i+1)*n], in[(2*i+1)*n:(2*i+2)*n]
		for k, g := range gate {
			out[i*n+k] = float32(float64(g) / (1 + math.Exp(-float64(g))) * float64(up[k]))
		}
	})
}
