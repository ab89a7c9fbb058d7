//go:build cuda

package cuda

import (
	"math"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

func siluTimes(gate, up float64) float64 { return gate / (1 + math.Exp(-gate)) * up }

// checkPacked compares [n × k] in operand order with want, up to one step of bf16 and the
// slack, and with zeros to the end of the last block.
func (r *gemmRig) checkPacked(name string, p driver.Ptr, n, k int, slack float64, want func(i, j int) float64) {
	r.Helper()
	got := download[uint16](r, p, operandBytes(n, k)/2)
	for i := range n {
		for j := range (k + 63) / 64 * 64 {
			w := 0.0
			if j < k {
				w = want(i, j)
			}
			if h := got[operandOffset(i, j, (n+7)/8)/2]; math.Abs(float64(wide(h))-w) > math.Abs(w)*1.02/(1<<8)+slack {
				r.Errorf("%s: row %d of %d, k %d of %d: %v, want %v", name, i, n, j, k, wide(h), w)
				return
			}
		}
	}
}

// TestPack: plain, and after a norm.
func TestPack(t *testing.T) {
	r := openGemms(t)
	const eps = 1e-5
	for _, s := range [][2]int{{1, 16}, {7, 64}, {33, 1000}, {130, 4096}, {9, 11008}, {3, 77}} {
		n, k := s[0], s[1]
		x := r.values(n * k)
		in, dst := upload(r, x), r.memory(operandBytes(n, k))
		poison := func() { r.d.check(r.d.drv.Memset8Async(dst, 0xff, int64(operandBytes(n, k)), r.d.stream)) }
		poison()
		r.d.packRows(r.g, dst, in, n, k, backend.Tensor{}, 0)
		r.checkPacked("pack_rows", dst, n, k, 1e-30, func(i, j int) float64 { return float64(x[i*k+j]) })
		for _, format := range []tensor.DType{tensor.F32, tensor.F16, tensor.BF16} {
			w := bf16(r.values(k))
			encoded := make([]byte, format.RowBytes(k))
			format.Encode(encoded, w)
			format.Decode(w, encoded)
			scale := make([]float64, n)
			for i := range scale {
				for _, v := range x[i*k : (i+1)*k] {
					scale[i] += float64(v) * float64(v)
				}
				scale[i] = 1 / math.Sqrt(scale[i]/float64(k)+eps)
			}
			poison()
			r.d.packRows(r.g, dst, in, n, k, backend.Tensor{Type: format, Rows: 1, Cols: k, Data: pointer(upload(r, encoded))}, eps)
			r.checkPacked("pack_norm "+format.String(), dst, n, k, 1e-30, func(i, j int) float64 { return float64(x[i*k+j]) * scale[i] * float64(w[j]) })
		}
	}
}
