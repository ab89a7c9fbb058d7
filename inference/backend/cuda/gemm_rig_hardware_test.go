//go:build cuda

package cuda

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// gemmRig is a device with all kernels of products that it has.
type gemmRig struct {
	testing.TB
	d   *Device
	g   *gemms
	all []gemmKernel
	rnd *rand.Rand
}

func openGemms(t testing.TB) *gemmRig {
	t.Helper()
	d := openHardware(t)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	g, err := findGemms(d.drv, d.index, d.kernels)
	if err != nil {
		t.Fatal(err)
	}
	r := &gemmRig{TB: t, d: d, g: g, all: slices.Clone(g.kernels), rnd: rand.New(rand.NewPCG(1, 2))}
	if g.kernels[0].name != "gemm_mma" { // it runs here too
		mma, err := readyKernels(d.drv, d.blocks, d.kernels, mmaKernels)
		if err != nil {
			t.Fatal(err)
		}
		r.all = append(r.all, mma...)
	}
	return r
}

func (r *gemmRig) memory(bytes int) driver.Ptr {
	r.Helper()
	p, err := r.d.alloc(backend.Scratch, int64(bytes))
	if err != nil {
		r.Fatal(err)
	}
	return p
}

func upload[E any](r *gemmRig, v []E) driver.Ptr {
	p := r.memory(len(v) * int(unsafe.Sizeof(v[0])))
	// A copy from pageable memory may return before all is there, and the stream of the
	// ops does not wait for it.
	if err := errors.Join(r.d.drv.CopyHtoD(p, driver.Bytes(v)), r.d.drv.Synchronize()); err != nil {
		r.Fatal(err)
	}
	return p
}

func download[E any](r *gemmRig, p driver.Ptr, n int) []E {
	r.Helper()
	if err := r.d.Sync(); err != nil {
		r.Fatal(err)
	}
	v := make([]E, n)
	if err := r.d.drv.CopyDtoH(driver.Bytes(v), p); err != nil {
		r.Fatal(err)
	}
	return v
}

func (r *gemmRig) values(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.rnd.NormFloat64())
	}
	return v
}

// bf16 rounds in place.
func bf16(v []float32) []float32 {
	b := make([]byte, 2*len(v))
	tensor.BF16.Encode(b, v)
	tensor.BF16.Decode(v, b)
	return v
}

// half is v, which is bf16, in its two bytes.
func half(v float32) uint16 { return uint16(math.Float32bits(v) >> 16) }

func wide(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// rowOrder is a matrix's number of rows and how they lie in strips.
type rowOrder struct {
	kind       rowKind
	rows, span int
}

// matrix is a part with its values: w by output row.
type matrix struct {
	part
	w, b []float32
}

// matrix makes a part of random values. Its padding is zero.
func (r *gemmRig) matrix(o rowOrder, k, kp int, bias tensor.DType) matrix {
	m := matrix{w: bf16(r.values(o.rows * k)), b: make([]float32, o.rows)}
	strips := ceilDiv(o.rows, 16)
	lay := make([]uint16, strips*16*kp)
	for strip := range strips {
		for i := range 16 {
			if out := o.kind.row(o.span, strip, i); out < o.rows {
				for at := range k {
					lay[fragmentOffset(strip, i, at, kp/16)/2] = half(m.w[out*k+at])
				}
			}
		}
	}
	m.part = part{w: upload(r, lay), strips: int32(strips), rows: int32(o.rows), kind: int32(o.kind), span: int32(o.span)}
	if bias != 0 {
		m.b = bf16(r.values(o.rows))
		encoded := make([]byte, bias.RowBytes(o.rows))
		bias.Encode(encoded, m.b)
		m.bias, m.biasFormat = upload(r, encoded), int32(bias)
	}
	return m
}

// split makes two parts of a matrix, the second from a strip on, as gate and up have
// that lie in two allocations.
func (m matrix) split(strip, kp int) (first, second part) {
	first, second = m.part, m.part
	first.strips = int32(strip)
	second.strips, second.first, second.w = m.strips-int32(strip), int32(strip), m.part.w+driver.Ptr(strip*kp*32)
	return first, second
}

// product is a projection with inputs and what it should give.
type product struct {
	parts     []matrix
	n, k, kp  int
	x, old    []float32
	want      []float64 // with old, without
	size      []float64 // sums of magnitudes, old's included
	cols, ldd int
}

func (r *gemmRig) product(n, k, kp int, parts ...matrix) *product {
	p := &product{parts: parts, n: n, k: k, kp: kp, x: bf16(r.values(n * k))}
	for i, m := range parts {
		parts[i].col = int32(p.cols)
		p.cols += int(m.rows)
	}
	p.ldd = p.cols + 3
	p.old = r.values(n * p.ldd)
	p.want, p.size = make([]float64, n*p.cols), make([]float64, n*p.cols)
	for i := range n {
		at := i * p.cols
		for _, m := range parts {
			for row := range int(m.rows) {
				p.want[at], p.size[at] = dot(p.x[i*k:(i+1)*k], m.w[row*k:(row+1)*k], float64(m.b[row]))
				at++
			}
		}
	}
	return p
}

func dot(x, w []float32, bias float64) (sum, size float64) {
	sum, size = bias, math.Abs(bias)
	for i, v := range x {
		y := float64(v) * float64(w[i])
		sum, size = sum+y, size+math.Abs(y)
	}
	return sum, size
}

// run gives the output of the first n rows by a kernel, of which all but the ldd's tail
// is overwritten; poison is a NaN where nothing is added.
func (r *gemmRig) run(k *gemmKernel, p *product, n int, epilogue int) []float32 {
	r.Helper()
	packed := r.memory(operandBytes(n, p.k))
	r.d.check(r.d.drv.Memset8Async(packed, 0xff, int64(operandBytes(n, p.k)), r.d.stream)) // NaN
	x := upload(r, p.x[:n*p.k])
	r.d.packRows(r.g, packed, x, n, p.k, backend.Tensor{}, 0)
	old := slices.Clone(p.old[:n*p.ldd])
	if epilogue != epilogueAdd {
		for i := range old {
			old[i] = float32(math.NaN())
		}
	}
	out := upload(r, old)
	c := &gemmCall{out: out, x: packed, n: n, k: p.k, tiles: p.kp / 16, ldd: p.ldd, epilogue: epilogue}
	for _, m := range p.parts {
		c.parts = append(c.parts, m.part)
	}
	r.d.gemmBy(k, c)
	got := download[float32](r, out, n*p.ldd)
	for _, m := range []driver.Ptr{packed, x, out} {
		if err := r.d.release(m); err != nil {
			r.Fatal(err)
		}
	}
	return got
}

// check compares with the formula and returns the worst error in roundings of the sum of
// magnitudes.
func (r *gemmRig) check(name string, p *product, got []float32, epilogue int) (worst float64) {
	r.Helper()
	for i := range len(got) / p.ldd {
		for j := range p.ldd {
			v := float64(got[i*p.ldd+j])
			if j >= p.cols {
				if epilogue != epilogueAdd && v == v || epilogue == epilogueAdd && float32(v) != p.old[i*p.ldd+j] {
					r.Errorf("%s: row %d: column %d beyond the end was written", name, i, j)
					return
				}
				continue
			}
			want, size := p.want[i*p.cols+j], p.size[i*p.cols+j]
			if epilogue == epilogueAdd {
				want, size = want+float64(p.old[i*p.ldd+j]), size+math.Abs(float64(p.old[i*p.ldd+j]))
			}
			miss := math.Abs(v-want) / size * (1 << 24)
			if !(miss < 32) {
				r.Errorf("%s: row %d, column %d: %v, want %v (%.0f roundings)", name, i, j, v, want, miss)
				return
			}
			worst = max(worst, miss)
		}
	}
	return worst
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}
