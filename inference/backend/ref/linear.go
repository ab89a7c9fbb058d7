package ref

import (
	"llorch/inference/backend"
)

// Linear: dst[i][o] = Σ x[i][k]·W[o][k] + B[o].
func (d *Device) Linear(dst, x backend.Tensor, w backend.Linear, _ *backend.Batch) {
	d.linear("Linear", dst, x, w, false)
}

// LinearAdd: dst[i][o] += Σ x[i][k]·W[o][k] + B[o].
func (d *Device) LinearAdd(dst, x backend.Tensor, w backend.Linear, _ *backend.Batch) {
	d.linear("LinearAdd", dst, x, w, true)
}

// linear is both. Workers share the output
// columns, so that a row of W is decoded once for all rows of x.
func (d *Device) linear(op string, dst, x backend.Tensor, w backend.Linear, add bool) {
	out, in, first := dst.Float32s(), x.Float32s(), 0
	for _, p := range w {
		d.each(op, p.W.Rows, func(wk *worker, o int) {
			row := wk.decode(p.W, o)
			bias := element(p.B, o)
			for i := range x.Rows {
				sum := dot(in[i*x.Cols:(i+1)*x.Cols], row) + bias
				y := &out[i*dst.Cols+first+o]
				if add {
					sum += float64(*y)
				}
				*y = float32(sum)
			}
		})
		first += p.W.Rows
	}
}

// decode returns row i of t as float32, valid until the next call.
func (w *worker) decode(t backend.Tensor, i int) []float32 {
	row := grow(&w.row, t.Cols)
	t.Type.Decode(row, rowBytes(t, i))
	return row
}

func rowBytes(t backend.Tensor, i int) []byte { return t.Slice(i, i+1).Host() }

// element returns element i of a vector of an unblocked format, 0 of no vector.
func element(t backend.Tensor, i int) float64 {
	if t.Data == nil {
		return 0
	}
	var x [1]float32
	t.Type.Decode(x[:], rowBytes(t.Reshape(t.Cols, 1), i))
	return float64(x[0])
}

// dot is Σ a[k]·b[k]. Four sums let the processor overlap the additions.
func dot(a, b []float32) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	k := 0
	for ; k+4 <= len(a); k += 4 {
		s0 += float64(a[k]) * float64(b[k])
		s1 += float64(a[k+1]) * float64(b[k+1])
		s2 += float64(a[k+2]) * float64(b[k+2])
		s3 += float64(a[k+3]) * float64(b[k+3])
	}
	for ; k < len(a); k++ {
		s0 += float64(a[k]) * float64(b[k])
	}
	return s0 + s1 + (s2 + s3)
}
