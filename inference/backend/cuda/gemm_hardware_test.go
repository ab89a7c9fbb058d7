//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// TestGemm: every kernel against float64, for row orders, biases, parts, paddings and
// numbers of rows; a row has the same bits whatever their number, and in every kernel of
// the same instructions.
func TestGemm(t *testing.T) {
	r := openGemms(t)
	for _, s := range []struct {
		k, kp  int
		orders []rowOrder
		bias   tensor.DType
	}{
		{64, 64, []rowOrder{{natural, 16, 0}}, 0},
		{200, 208, []rowOrder{{natural, 300, 0}}, tensor.F32},
		{72, 256, []rowOrder{{gateUp, 2 * 96, 96}}, tensor.F16},
		{1000, 1008, []rowOrder{{halves, 256, 64}, {neighbours, 96, 32}, {natural, 90, 0}}, tensor.BF16},
	} {
		var parts []matrix
		for _, o := range s.orders {
			parts = append(parts, r.matrix(o, s.k, s.kp, s.bias))
		}
		p := r.product(700, s.k, s.kp, parts...)
		family := map[bool][]float32{} // by mma.sync or not: all rows
		for i := range r.all {
			k := &r.all[i]
			name := fmt.Sprintf("%s k %d %v", k.name, s.k, s.orders)
			full := r.run(k, p, p.n, epilogueStore)
			t.Logf("%s: %.1f roundings", name, r.check(name, p, full, epilogueStore))
			if first, ok := family[k.name == "gemm_mma"]; ok && !sameRows(p, first, full) {
				t.Errorf("%s: bits differ from another kernel's", name)
			}
			family[k.name == "gemm_mma"] = full
			r.rows(k, p, name, full)
		}
	}
}

// sameRows compares the written columns of as many rows as got has.
func sameRows(p *product, all, got []float32) bool {
	for i := 0; i < len(got); i += p.ldd {
		if !sameBits(all[i:i+p.cols], got[i:i+p.cols]) {
			return false
		}
	}
	return true
}

func (r *gemmRig) rows(k *gemmKernel, p *product, name string, full []float32) {
	r.Helper()
	added := r.run(k, p, p.n, epilogueAdd)
	r.check(name+" add", p, added, epilogueAdd)
	for _, n := range []int{1, 7, 33, 130, 300} {
		if !sameRows(p, full, r.run(k, p, n, epilogueStore)) {
			r.Errorf("%s: %d rows have other bits", name, n)
		}
		if !sameRows(p, added, r.run(k, p, n, epilogueAdd)) {
			r.Errorf("%s: %d rows added have other bits", name, n)
		}
	}
}

// TestGemmLarge: many turns of every multiprocessor, the last of halved tiles on those of
// the H100 and H200; twice the same bits, and with fewer rows, so that the last tile is short.
func TestGemmLarge(t *testing.T) {
	r := openGemms(t)
	m := r.matrix(rowOrder{natural, 2200, 0}, 4096, 4096, 0)
	p := r.product(1, 4096, 4096, m)
	const n = 2048
	p.x, p.old = bf16(r.values(n*p.k)), make([]float32, n*p.ldd)
	family := map[bool][]float32{}
	for i := range r.all {
		k := &r.all[i]
		got := r.run(k, p, n, epilogueStore)
		for _, rows := range []int{n, 1930, 1900} {
			if !sameRows(p, got, r.run(k, p, rows, epilogueStore)) {
				t.Errorf("%s: other bits with %d rows", k.name, rows)
			}
		}
		mma := k.name == "gemm_mma"
		if first, ok := family[mma]; ok && !sameRows(p, first, got) {
			t.Errorf("%s: bits differ from another kernel's", k.name)
		}
		family[mma] = got
		worst := 0.0
		for range 20000 {
			i, j := r.rnd.IntN(n), r.rnd.IntN(p.cols)
			want, size := dot(p.x[i*p.k:(i+1)*p.k], m.w[j*p.k:(j+1)*p.k], 0)
			worst = max(worst, math.Abs(float64(got[i*p.ldd+j])-want)/size*(1<<24))
		}
		if t.Logf("%s: %.1f roundings", k.name, worst); !(worst < 32) {
			t.Errorf("%s: %.1f roundings", k.name, worst)
		}
	}
}

// TestGemmSwiGLU: gate and up of a projection become one, in float32 and packed.
func TestGemmSwiGLU(t *testing.T) {
	r := openGemms(t)
	for _, f := range []int{64, 96, 352} {
		const k = 200
		p := r.product(300, k, 208, r.matrix(rowOrder{gateUp, 2 * f, f}, k, 208, tensor.F32))
		want := func(i, j int) float64 { return siluTimes(p.want[i*2*f+j], p.want[i*2*f+f+j]) }
		gate, up := p.parts[0].split(f/16, 208)
		x := upload(r, p.x)
		for i := range r.all {
			kernel := &r.all[i]
			for _, n := range []int{1, 9, 300} {
				packed := r.memory(operandBytes(n, k))
				r.d.packRows(r.g, packed, x, n, k, backend.Tensor{}, 0)
				bytes := operandBytes(n, f)
				out, wideOut := r.memory(bytes), upload(r, slices.Repeat([]float32{float32(math.NaN())}, n*f))
				r.d.check(r.d.drv.Memset8Async(out, 0, int64(bytes), r.d.stream))
				c := &gemmCall{out: out, x: packed, n: n, k: k, tiles: 13, ldd: f, epilogue: epiloguePacked, parts: []part{gate, up}}
				r.d.gemmBy(kernel, c)
				r.checkPacked(kernel.name+" packed", out, n, f, 3e-5, want)
				c.out, c.epilogue = wideOut, epilogueSwiGLU
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
