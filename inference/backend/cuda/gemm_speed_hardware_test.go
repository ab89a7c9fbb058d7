//go:build cuda

package cuda

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

// medianMicroseconds times f, in batches of so many calls.
func (r *gemmRig) medianMicroseconds(batch, batches int, f func(i int)) float64 {
	r.Helper()
	from, err1 := r.d.drv.EventCreate(true)
	to, err2 := r.d.drv.EventCreate(true)
	if err1 != nil || err2 != nil {
		r.Fatal(err1, err2)
	}
	time.Sleep(100 * time.Millisecond) // a GPU at the limit of its power slows down what comes next
	var times []float64
	for b := range batches + 1 {
		r.d.check(r.d.drv.EventRecord(from, r.d.stream))
		for i := range batch {
			f(i)
		}
		r.d.check(r.d.drv.EventRecord(to, r.d.stream))
		if err := r.d.Sync(); err != nil {
			r.Fatal(err)
		}
		ms, err := r.d.drv.EventElapsed(from, to)
		if err != nil {
			r.Fatal(err)
		}
		if b > 0 { // the first is the warm-up
			times = append(times, ms*1000/float64(batch))
		}
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// TestGemmSpeed prints times of the products of a 7B model. Weights and activations are
// random; small matrices rotate so that no cache holds them.
func TestGemmSpeed(t *testing.T) {
	if testing.Short() {
		t.Skip("not run: it measures")
	}
	r := openGemms(t)
	const most = 22016 * 4096
	table := bf16(r.values(1 << 20))
	lay := make([]uint16, most)
	for i := range lay {
		lay[i] = half(table[r.rnd.Uint32()>>12] / 64)
	}
	w := upload(r, lay)
	x := upload(r, r.values(2048*11264))
	packed, out := r.memory(packedBytes(2048, 11264)), r.memory(2048*22016*4)
	r.d.check(r.d.drv.Memset8Async(out, 0, 2048*22016*4, r.d.stream))
	for _, n := range []int{2048, 1024, 512, 256, 128, 64, 33} {
		for _, s := range []struct {
			name        string
			rows, k, kp int
			mode        gemmMode
		}{
			{"qkv", 12288, 4096, 4096, gemmStore}, {"gate up", 22016, 4096, 4096, gemmStore}, {"gate up silu", 22016, 4096, 4096, gemmSwiGLUPacked},
			{"down add", 4096, 11008, 11264, gemmAdd}, {"o add", 4096, 4096, 4096, gemmAdd}, {"o", 4096, 4096, 4096, gemmStore},
		} {
			r.d.packRows(r.g, packed, x, n, s.k, backend.Tensor{}, 0)
			o := rowOrder{kind: natural, rows: s.rows}
			if s.mode == gemmSwiGLUPacked {
				o.kind = gateUp
			}
			c := gemmCall{out: out, x: packed, n: n, k: s.k, kp: s.kp, ldd: s.rows, mode: s.mode, parts: []gemmPart{{order: o}}}
			bytes := s.rows * s.kp * 2
			best, line := c.kernelFor(r.g.kernels), fmt.Sprintf("n %4d %-13s %5d x %5d", n, s.name, s.rows, s.k)
			for j := range r.g.kernels {
				k := &r.g.kernels[j]
				if n > 512 && k != best {
					continue
				}
				us := r.medianMicroseconds(20, 5, func(i int) {
					c.parts[0].w = w + driver.Ptr(i%(most*2/bytes)*bytes)
					r.d.gemmBy(k, &c)
				})
				if line += fmt.Sprintf("  | %6.1f us", us); k == best {
					line += fmt.Sprintf(" = %3.0f TFLOP/s, %.2f TB/s", 2*float64(n)*float64(s.rows)*float64(s.k)/us/1e6, float64(bytes)/us/1e6)
				}
			}
			t.Log(line)
		}
	}
	for _, k := range []int{4096, 11008} {
		us := r.medianMicroseconds(20, 7, func(int) { r.d.packRows(r.g, packed, x, 2048, k, backend.Tensor{}, 0) })
		norm := r.medianMicroseconds(20, 7, func(int) {
			r.d.packRows(r.g, packed, x, 2048, k, backend.Tensor{Type: 1, Data: pointer(x)}, 1e-5)
		})
		gatedUs := r.medianMicroseconds(20, 7, func(int) { r.d.packGated(r.g, packed, out, 2048, k) })
		t.Logf("pack 2048 x %d: %.1f us, %.2f TB/s; norm %.1f us; swiglu %.1f us", k, us, 2048*float64(k)*6/us/1e6, norm, gatedUs)
	}
	if mma := &r.all[len(r.all)-1]; mma.name == "gemm_mma" {
		us := r.medianMicroseconds(5, 5, func(int) {
			r.d.gemmBy(mma, &gemmCall{out: out, x: packed, n: 2048, k: 4096, kp: 4096, ldd: 12288, parts: []gemmPart{{w: w, order: rowOrder{kind: natural, rows: 12288}}}})
		})
		t.Logf("gemm_mma qkv n 2048: %.1f us  %.0f TFLOP/s", us, 2*2048*12288*4096/us/1e6)
	}
}
