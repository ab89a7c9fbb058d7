package cpu

// #include "llo.h"
import "C"

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// selfTest runs every op on a small problem of awkward sizes with kern and with
// portable C, and refuses a kernel that differs: a compiler or a processor that
// computes something else must not serve. It takes seven milliseconds.
func selfTest(kern *C.llo_kernels) error {
	if err := cmp.Or(testExp(kern), testEncode(kern)); err != nil {
		return err
	}
	if err := cmp.Or(testLinears(kern), testAttends(kern)); err != nil {
		return err
	}
	want, err := probe(findISA("portable"))
	if err != nil {
		return err
	}
	got, err := probe(kern)
	if err != nil {
		return err
	}
	for _, op := range probed {
		for i, w := range want[op] {
			g := got[op][i]
			if !(math.Abs(float64(g-w)) <= 1e-3+1e-3*math.Abs(float64(w))) {
				return fmt.Errorf("cpu: self-test of %s: %s[%d] is %v, portable C has %v: choose another instruction set",
					C.GoString(kern.name), op, i, g, w)
			}
		}
	}
	return nil
}

// testExp checks the exponential that softmax and SwiGLU share, from below the
// normal range to beyond the largest float.
func testExp(kern *C.llo_kernels) error {
	var x []float32
	for v := float32(-100); v < 90; v += 0.77 {
		x = append(x, v)
	}
	got := exps(kern, x)
	for i, v := range x {
		if want := math.Exp(float64(v)); !(math.Abs(float64(got[i])-want) <= want*4e-7+2e-38) && got[i] != float32(want) {
			return fmt.Errorf("cpu: self-test of %s: exp(%v) is %v, not %v: choose another instruction set", C.GoString(kern.name), v, got[i], want)
		}
	}
	return nil
}

// testLinears multiplies with weights of every format in both phases, and
// compares with float64 what the format means: within 1 %, as a root mean square,
// where the kernel rounds what it multiplies, else within 1e-5.
func testLinears(kern *C.llo_kernels) error {
	d, err := newDevice(kern, 1)
	if err != nil {
		return err
	}
	defer d.Close()
	const in, out, n, decode = 768, 11, 9, 4
	p := &prober{d: d, rnd: rand.New(rand.NewPCG(8, 1))}
	b := &backend.Batch{Tokens: make([]int32, n), Decode: decode}
	x, y := p.values(tensor.F32, n, in), p.values(tensor.F32, n, out)
	weights := make([]float32, out*in)
	for t := tensor.F32; t < C.LLO_TYPES; t++ {
		w := p.values(t, out, in)
		d.Linear(y, x, backend.Linear{{W: w}}, b)
		if p.err = cmp.Or(p.err, d.Sync()); p.err != nil {
			return p.err
		}
		t.Decode(weights, w.Host())
		for phase, rows := range [][2]int{{0, decode}, {decode, n}} {
			most := 1e-5
			if d.Rounds(t, phase == 1) != tensor.F32 {
				most = 0.01
			}
			xs, ys := x.Float32s()[rows[0]*in:rows[1]*in], y.Float32s()[rows[0]*out:rows[1]*out]
			if loss := lossOf(ys, xs, weights, in); !(loss <= most) {
				return fmt.Errorf("cpu: self-test of %s: products with %v weights are off by %.2g in phase %d: choose another instruction set",
					C.GoString(kern.name), t, loss, phase)
			}
		}
	}
	return nil
}

// lossOf is the distance of y from x·wᵀ, relative to its size.
func lossOf(y, x, w []float32, in int) float64 {
	miss, size, out := 0.0, 0.0, len(w)/in
	for i, got := range y {
		sum := 0.0
		for k, v := range x[i/out*in:][:in] {
			sum += float64(v) * float64(w[i%out*in+k])
		}
		miss, size = miss+(float64(got)-sum)*(float64(got)-sum), size+sum*sum
	}
	return math.Sqrt(miss / size)
}

// exps returns e to each x.
func exps(kern *C.llo_kernels, x []float32) []float32 {
	y := append([]float32(nil), x...)
	C.llo_exp(kern, (*C.float)(&y[0]), C.int64_t(len(y)))
	return y
}

var probed = []string{"embed", "norm", "qkv", "rope", "keys", "attend", "add", "swiglu", "rows"}

// probe is one block of a tiny decoder: three decode rows and a prefill of
// five. Its weights are F32, and so is the cache that it attends to, whose products
// nobody rounds: a chain of ops amplifies what a step rounds. What it stores goes to
// a cache in f16.
func probe(kern *C.llo_kernels) (map[string][]float32, error) {
	d, err := newDevice(kern, 1)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	const hidden, n, pages, size = 70, 8, 6, 4
	p := &prober{d: d, rnd: rand.New(rand.NewPCG(7, 9)), out: map[string][]float32{}}
	h := backend.Heads{Q: 4, KV: 2, Dim: 18, Scale: 0.24}
	b := &backend.Batch{Tokens: []int32{3, 1, 4, 1, 5, 9, 2, 6}, Positions: []int32{5, 6, 0, 0, 1, 2, 3, 4}, Decode: 3,
		Seqs:   []backend.Seq{{First: 0, Rows: 2, Pages: []int32{4, 0}}, {First: 2, Rows: 1, Pages: []int32{2}}, {First: 3, Rows: 5, Pages: []int32{5, 1}}},
		Logits: []int32{0, 7}}
	cache := func(t tensor.DType) backend.KV {
		return backend.KV{K: p.values(t, pages*h.KV*size, h.Dim), V: p.values(t, pages*h.KV*size, h.Dim), PageSize: size}
	}
	stored, kv := cache(tensor.F16), cache(tensor.F32)
	rope := backend.Rope{Cos: p.values(tensor.F32, 8, h.Dim/2), Sin: p.values(tensor.F32, 8, h.Dim/2)}
	x, y := p.values(tensor.F32, n, hidden), p.values(tensor.F32, n, hidden)
	qkv, att := p.values(tensor.F32, n, (h.Q+2*h.KV)*h.Dim), p.values(tensor.F32, n, h.Q*h.Dim)
	gate, last := p.values(tensor.F32, n, hidden/2), p.values(tensor.F32, 2, hidden)

	d.Embed(x, p.values(tensor.BF16, 10, hidden), b)
	p.keep("embed", x)
	d.RMSNorm(y, x, p.values(tensor.F32, 1, hidden), 1e-5)
	p.keep("norm", y)
	d.Linear(qkv, y, backend.Linear{
		{W: p.values(tensor.F32, h.Q*h.Dim, hidden), B: p.values(tensor.BF16, 1, h.Q*h.Dim)},
		{W: p.values(tensor.F32, h.KV*h.Dim, hidden)}, {W: p.values(tensor.F32, h.KV*h.Dim, hidden)}}, b)
	p.keep("qkv", qkv)
	d.HeadNorm(qkv, p.values(tensor.F32, 1, h.Dim), p.values(tensor.F16, 1, h.Dim), h, 1e-6)
	d.RopeStore(qkv, stored, rope, h, b)
	p.keep("rope", qkv)
	p.keep("keys", stored.K)
	d.Attend(att, qkv, kv, h, b)
	p.keep("attend", att)
	d.LinearAdd(x, att, backend.Linear{{W: p.values(tensor.F32, hidden, h.Q*h.Dim)}}, b)
	p.keep("add", x)
	d.SwiGLU(gate, x)
	p.keep("swiglu", gate)
	d.Rows(last, x, b)
	p.keep("rows", last)
	if p.err == nil {
		p.err = d.Sync()
	}
	return p.out, p.err
}

type prober struct {
	d   *Device
	rnd *rand.Rand
	out map[string][]float32
	err error
}

// values is a tensor of numbers in (-1, 1), the same in every run.
func (p *prober) values(t tensor.DType, rows, cols int) backend.Tensor {
	m, err := p.d.Alloc(backend.Scratch, t, rows, cols)
	if err != nil {
		p.err = err
		return m
	}
	v := make([]float32, rows*cols)
	for i := range v {
		v[i] = 2*p.rnd.Float32() - 1
	}
	t.Encode(m.Host(), v)
	return m
}

// keep runs what is recorded and copies t.
func (p *prober) keep(op string, t backend.Tensor) {
	p.d.flush()
	p.out[op] = make([]float32, t.Rows*t.Cols)
	t.Type.Decode(p.out[op], t.Host())
}
