//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// attach gives the device's context to a sub-benchmark, which has a goroutine of its own
// and so another thread. The parent waits meanwhile.
func (r *gemmRig) attach(b *testing.B) {
	b.Helper()
	runtime.LockOSThread()
	c, err := r.d.drv.RetainPrimary(r.d.index, driver.Spin)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(r.d.drv.SetCurrent(0), r.d.drv.ReleasePrimary(r.d.index)); err != nil {
			b.Error(err)
		}
		runtime.UnlockOSThread()
	})
	if err := r.d.drv.SetCurrent(c); err != nil {
		b.Fatal(err)
	}
}

// microseconds times b.N calls of f by the clock of the GPU, and reports it.
func (r *gemmRig) microseconds(b *testing.B, f func(i int)) float64 {
	b.Helper()
	r.attach(b)
	from, err1 := r.d.drv.EventCreate(true)
	to, err2 := r.d.drv.EventCreate(true)
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	defer func() {
		if err := errors.Join(r.d.drv.EventDestroy(from), r.d.drv.EventDestroy(to)); err != nil {
			b.Error(err)
		}
	}()
	time.Sleep(100 * time.Millisecond) // at the limit of its power a GPU slows down what comes next
	for i := range 3 {
		f(i)
	}
	r.d.check(r.d.drv.EventRecord(from, r.d.stream))
	for i := range b.N {
		f(i)
	}
	r.d.check(r.d.drv.EventRecord(to, r.d.stream))
	if err := r.d.Sync(); err != nil {
		b.Fatal(err)
	}
	ms, err := r.d.drv.EventElapsed(from, to)
	if err != nil {
		b.Fatal(err)
	}
	us := ms * 1000 / float64(b.N)
	b.ReportMetric(us, "us")
	b.ReportMetric(0, "ns/op")
	return us
}

const gemmRows, gemmWeights = 2048, 22016 * 4096

// benchMemory fills weights and activations with random values, for zeros take less power
// and so less time.
func (r *gemmRig) benchMemory() (w, x, packed, out driver.Ptr) {
	table, lay := bf16(r.values(1<<20)), make([]uint16, gemmWeights)
	for i := range lay {
		lay[i] = half(table[r.rnd.Uint32()>>12] / 64)
	}
	w, x = upload(r, lay), upload(r, r.values(gemmRows*11264))
	packed, out = r.memory(operandBytes(gemmRows, 11264)), r.memory(gemmRows*22016*4)
	r.d.check(r.d.drv.Memset8Async(out, 0, gemmRows*22016*4, r.d.stream))
	return w, x, packed, out
}

// BenchmarkGemm: the products of a 7B model and what packs for them. Run it with
// -benchtime 100x. Matrices rotate so that no cache holds them.
func BenchmarkGemm(b *testing.B) {
	r := openGemms(b)
	w, x, packed, out := r.benchMemory()
	for _, n := range []int{2048, 1024, 512, 256, 128, 64, 33} {
		for _, s := range []struct {
			name        string
			rows, k, kp int
			epilogue    int
		}{
			{"qkv", 12288, 4096, 4096, epilogueStore}, {"gate-up", 22016, 4096, 4096, epilogueStore}, {"gate-up-silu", 22016, 4096, 4096, epiloguePacked},
			{"down-add", 4096, 11008, 11264, epilogueAdd}, {"o-add", 4096, 4096, 4096, epilogueAdd}, {"o", 4096, 4096, 4096, epilogueStore},
		} {
			r.d.packRows(r.g, packed, x, n, s.k, backend.Tensor{}, 0)
			o := part{strips: int32(s.rows / 16), rows: int32(s.rows)}
			if s.epilogue == epiloguePacked {
				o.kind, o.span = int32(gateUp), int32(s.rows/2)
			}
			c := gemmCall{out: out, x: packed, n: n, k: s.k, tiles: s.kp / 16, ldd: s.rows, epilogue: s.epilogue, parts: []part{o}}
			bytes := s.rows * s.kp * 2
			k := c.kernelFor(r.g.kernels)
			b.Run(fmt.Sprintf("n=%d/%s/%s", n, s.name, k.name), func(b *testing.B) {
				us := r.microseconds(b, func(i int) {
					c.parts[0].w = w + driver.Ptr(i%(2*gemmWeights/bytes)*bytes)
					r.d.gemmBy(k, &c)
				})
				b.ReportMetric(2*float64(n)*float64(s.rows)*float64(s.k)/us/1e6, "TFLOP/s")
				b.ReportMetric(float64(bytes)/us/1e6, "TB/s")
			})
		}
	}
}

// BenchmarkPack counts 4 bytes read of each element, and 2 written.
func BenchmarkPack(b *testing.B) {
	r := openGemms(b)
	_, x, packed, _ := r.benchMemory()
	for _, k := range []int{4096, 11008} {
		for name, f := range map[string]func(){
			"plain": func() { r.d.packRows(r.g, packed, x, gemmRows, k, backend.Tensor{}, 0) },
			"norm": func() {
				r.d.packRows(r.g, packed, x, gemmRows, k, backend.Tensor{Type: tensor.F32, Data: pointer(x)}, 1e-5)
			},
		} {
			b.Run(fmt.Sprintf("k=%d/%s", k, name), func(b *testing.B) {
				us := r.microseconds(b, func(int) { f() })
				b.ReportMetric(float64(gemmRows*k*6)/us/1e6, "TB/s")
			})
		}
	}
}
