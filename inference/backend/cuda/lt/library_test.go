//go:build cuda

package lt

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/driver/drivertest"
)

func TestMissing(t *testing.T) {
	_, err := openFirst(Candidates(t.TempDir(), "", nil))
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "libcublasLt") && !strings.Contains(err.Error(), "directory") {
		t.Errorf("a folder without the library: %v", err)
	}
}

func open(t *testing.T) (*driver.CUDA, *Handle) {
	t.Helper()
	d := drivertest.Open(t)
	l, err := Open()
	if err != nil {
		t.Skipf("not run: %v", err)
	}
	t.Logf("%s, version %d", l.Path, l.Version)
	h, err := Create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, h
}

// randomBF16 are values near 1 with their bf16 code; the code alone is right for f32 too.
func randomBF16(r *rand.Rand, n int) (values []float64, codes []uint16) {
	for range n {
		c := uint16(math.Float32bits(float32(r.NormFloat64())) >> 16)
		codes = append(codes, c)
		values = append(values, float64(math.Float32frombits(uint32(c)<<16)))
	}
	return values, codes
}

// Every candidate against the product in float64.
func TestProduct(t *testing.T) {
	d, h := open(t)
	const workspace = 32 << 20
	ws := drivertest.Alloc(t, d, workspace)
	for _, s := range []Shape{
		{M: 128, N: 256, K: 512, In: BF16, Out: BF16},
		{M: 37, N: 96, K: 264, In: BF16, Out: F32},
		{M: 64, N: 128, K: 128, In: BF16, Out: F32, Add: true},
		{M: 64, N: 128, K: 128, In: BF16, Out: BF16, Add: true, StrideX: 136, StrideY: 144, Align: 16},
	} {
		plan, err := h.Plan(s, workspace)
		if err != nil {
			t.Fatal(err)
		}
		for i := range plan.Candidates {
			check(t, d, plan, i, ws, workspace)
		}
		t.Logf("%+v: %d candidates, the first needs %d bytes", s, len(plan.Candidates), plan.Candidates[0].Workspace)
		plan.Close()
	}
	if _, err := h.Plan(Shape{M: 1, N: 1, K: 1}, 0); err == nil {
		t.Error("a shape without formats")
	}
}

func check(t *testing.T, d driver.Driver, p *Plan, i int, ws driver.Ptr, workspace int64) {
	t.Helper()
	s := p.Shape.dense()
	r := rand.New(rand.NewPCG(uint64(s.M), uint64(s.N)))
	xv, xc := randomBF16(r, s.M*s.StrideX)
	wv, wc := randomBF16(r, s.N*s.StrideW)
	x, w := drivertest.Upload(t, d, xc), drivertest.Upload(t, d, wc)
	y := drivertest.Alloc(t, d, int64(s.M*s.StrideY*s.Out.bytes()))
	before := make([]float64, s.M*s.StrideY)
	if s.Out == F32 {
		start := make([]float32, len(before))
		for j := range start {
			start[j] = float32(j % 7)
			before[j] = float64(start[j])
		}
		must(t, d.CopyHtoD(y, driver.Bytes(start)))
	} else {
		values, codes := randomBF16(r, len(before))
		copy(before, values)
		must(t, d.CopyHtoD(y, driver.Bytes(codes)))
	}
	must(t, p.Run(i, y, x, w, ws, workspace, 0))
	got := download(t, d, y, len(before), s.Out)
	for m := range s.M {
		for n := range s.N {
			want, scale := 0.0, 0.0
			for k := range s.K {
				v := xv[m*s.StrideX+k] * wv[n*s.StrideW+k]
				want += v
				scale += math.Abs(v)
			}
			if s.Add {
				want += before[m*s.StrideY+n]
			}
			bound := 1e-6*scale + 1e-5
			if s.Out == BF16 {
				bound += math.Abs(want) / 128
			}
			if g := got[m*s.StrideY+n]; math.Abs(g-want) > bound {
				t.Fatalf("%+v, candidate %d: y[%d][%d] = %v, want %v ± %v", s, i, m, n, g, want, bound)
			}
		}
	}
}

func download(t *testing.T, d driver.Driver, p driver.Ptr, n int, f Format) []float64 {
	t.Helper()
	out := make([]float64, n)
	if f == F32 {
		for i, v := range drivertest.Download[float32](t, d, p, n) {
			out[i] = float64(v)
		}
		return out
	}
	for i, c := range drivertest.Download[uint16](t, d, p, n) {
		out[i] = float64(math.Float32frombits(uint32(c) << 16))
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A prompt of 2048 tokens through a projection of a 7B model: what is reached of
// the tensor cores, by candidate.
func TestRate(t *testing.T) {
	d, h := open(t)
	s := Shape{M: 2048, N: 4096, K: 4096, In: BF16, Out: BF16}
	const workspace = 64 << 20
	ws := drivertest.Alloc(t, d, workspace)
	p, err := h.Plan(s, workspace)
	must(t, err)
	defer p.Close()
	x, w := drivertest.Alloc(t, d, int64(2*s.M*s.K)), drivertest.Alloc(t, d, int64(2*s.N*s.K))
	y := drivertest.Alloc(t, d, int64(2*s.M*s.N))
	from, err := d.EventCreate(true)
	must(t, err)
	to, err := d.EventCreate(true)
	must(t, err)
	for i, c := range p.Candidates {
		must(t, p.Run(i, y, x, w, ws, workspace, 0))
		const rounds = 20
		must(t, d.EventRecord(from, 0))
		for range rounds {
			must(t, p.Run(i, y, x, w, ws, workspace, 0))
		}
		must(t, errors.Join(d.EventRecord(to, 0), d.EventSynchronize(to)))
		ms, err := d.EventElapsed(from, to)
		must(t, err)
		t.Logf("candidate %d (%d bytes of workspace): %.0f TFLOP/s on zeros and what was there", i, c.Workspace,
			2*float64(s.M)*float64(s.N)*float64(s.K)*rounds/ms/1e9)
	}
	must(t, errors.Join(d.EventDestroy(from), d.EventDestroy(to)))
}
