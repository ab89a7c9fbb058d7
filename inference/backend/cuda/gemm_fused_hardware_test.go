//go:build cuda

package cuda

import (
	"math"
	"slices"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// checkPacked compares [n × k] of packed memory with want, up to one step of bf16 and the
// slack, and with zeros to the end of the last block.
func (r *gemmRig) checkPacked(name string, p driver.Ptr, n, k int, slack float64, want func(i, j int) float64) {
	r.Helper()
	got := download[uint16](r, p, packedBytes(n, k)/2)
	for i := range n {
		for j := range (k + 63) / 64 * 64 {
			w := 0.0
			if j < k {
				w = want(i, j)
			}
			if h := got[packedOffset(i, j, (n+7)/8)/2]; math.Abs(float64(wide(h))-w) > math.Abs(w)*1.02/(1<<8)+slack {
				r.Errorf("%s: row %d of %d, k %d of %d: %v, want %v", name, i, n, j, k, wide(h), w)
				return
			}
		}
	}
}

// TestPack: plain, after a norm, after SwiGLU.
func TestPack(t *testing.T) {
	r := openGemms(t)
	const eps = 1e-5
	for _, s := range [][2]int{{1, 16}, {7, 64}, {33, 1000}, {130, 4096}, {9, 11008}, {3, 77}} {
		n, k := s[0], s[1]
		x := r.values(n * 2 * k)
		in, dst := upload(r, x), r.memory(packedBytes(n, k))
		poison := func() { r.d.check(r.d.drv.Memset8Async(dst, 0xff, int64(packedBytes(n, k)), r.d.stream)) }
		poison()
		r.d.packRows(r.g, dst, in, n, k, backend.Tensor{}, 0)
		r.checkPacked("pack", dst, n, k, 1e-30, func(i, j int) float64 { return float64(x[i*k+j]) })
		poison()
		r.d.packGated(r.g, dst, in, n, k)
		r.checkPacked("pack_swiglu", dst, n, k, 1e-30, func(i, j int) float64 { return gated(float64(x[2*i*k+j]), float64(x[2*i*k+k+j])) })
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

func gated(gate, up float64) float64 { return gate / (1 + math.Exp(-gate)) * up }

// TestGemmSwiGLU: gate and up of a projection become one, in float32 and packed.
func TestGemmSwiGLU(t *testing.T) {
	r := openGemms(t)
	for _, f := range []int{64, 100, 352} {
		const k = 200
		p := r.product(300, k, 208, r.matrix(rowOrder{gateUp, 2 * f, 0}, k, 208, tensor.F32))
		want := func(i, j int) float64 { return gated(p.want[i*2*f+j], p.want[i*2*f+f+j]) }
		x := upload(r, p.x)
		for i := range r.all {
			kernel := &r.all[i]
			for _, n := range []int{1, 9, 300} {
				packed := r.memory(packedBytes(n, k))
				r.d.packRows(r.g, packed, x, n, k, backend.Tensor{}, 0)
				bytes := packedBytes(n, f)
				out, wideOut := r.memory(bytes), upload(r, slices.Repeat([]float32{float32(math.NaN())}, n*f))
				r.d.check(r.d.drv.Memset8Async(out, 0, int64(bytes), r.d.stream))
				c := &gemmCall{out: out, x: packed, n: n, k: k, kp: 208, ldd: f, mode: gemmSwiGLUPacked, parts: []gemmPart{p.parts[0].gemmPart}}
				r.d.gemmBy(kernel, c)
				r.checkPacked(kernel.name+" packed", out, n, f, 3e-5, want)
				c.out, c.mode = wideOut, gemmSwiGLU
				r.d.gemmBy(kernel, c)
				for at, v := range download[float32](r, wideOut, n*f) {
					if w := want(at/f, at%f); !(math.Abs(float64(v)-w) <= 1e-4*math.Max(1, math.Abs(w))) {
						t.Errorf("%s: row %d, %d: %v, want %v", kernel.name, at/f, at%f, v, w)
						break
					}
				}
			}
		}
	}
}
