//go:build cuda

package cuda

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// TestRings: every kernel that projects few rows gives the bits by one block, whose ring goes
// round, that it gives by many, whose rings hardly fill. -short, for racecheck, leaves those out
// and has one length of rows for each format of quantised weights.
func TestRings(t *testing.T) {
	d := openHardware(t)
	part := func(name string, f func()) { // not a subtest: the driver's context is the thread's
		began := time.Now()
		f()
		t.Logf("%s: %.1f s", name, time.Since(began).Seconds())
	}
	d.streamFrom = math.MaxInt
	part("held", func() {
		for _, g := range geometries() {
			strips := 2 // what two passes can keep
			if g.passes == 1 {
				strips = max(6, 24/g.tiles+2) // more than a block owns: some go by ticket
			}
			checkRing(t, d, tensor.BF16, 16*strips, 16*warps*g.tiles*g.passes)
		}
	})
	d.streamFrom = streamFrom
	part("streamed", func() {
		for _, k := range []int{512, 1536} { // activations fit into their ring, and do not
			checkRing(t, d, tensor.BF16, 16*14, k)
		}
	})
	d.streamFrom = math.MaxInt
	for i, format := range []tensor.DType{tensor.Q8_0, tensor.Q4_0, tensor.Q4_K, tensor.Q6_K} {
		part(format.String(), func() {
			for j, records := range []int{5, 8, 20, 33} { // each way to take activations
				if !testing.Short() || i == j {
					checkRing(t, d, format, 16*max(3, 48/records), recordK*records)
				}
			}
		})
	}
	for _, name := range []string{"bf16", "llama3-8b-q4_k_m"} {
		part("steps of "+name, func() { checkSteps(t, d, name) })
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// byOneBlock runs f with one block for all strips.
func (d *Device) byOneBlock(f func() []float32) []float32 {
	all := d.blocks
	defer func() { d.blocks = all }()
	d.blocks = 1
	return f()
}

// checkRing multiplies six rows after a norm, and the first of them alone.
func checkRing(t *testing.T, d *Device, format tensor.DType, rows, k int) {
	t.Helper()
	const most = 6
	r := &gemmRig{TB: t, d: d, rnd: rand.New(rand.NewPCG(8, uint64(k)))}
	l, norm := backend.Linear{{W: r.placed(format, rows, k)}}, r.placed(tensor.F32, 1, k)
	x := put(t, d, backend.Scratch, tensor.F32, k, r.values(most*k))
	h, out := put(t, d, backend.Scratch, tensor.F32, k, make([]float32, most*k)), put(t, d, backend.Scratch, tensor.F32, rows, make([]float32, most*rows))
	run := func(n int) []float32 {
		d.RMSNorm(h.Slice(0, n), x.Slice(0, n), norm, 1e-5)
		d.Linear(out.Slice(0, n), h.Slice(0, n), l, decodeBatch(n, 1))
		return downloaded(t, d, out.Slice(0, n))
	}
	got := d.byOneBlock(func() []float32 { return run(most) })
	if !sameBits(got[:rows], d.byOneBlock(func() []float32 { return run(1) })) {
		t.Errorf("%v, %d of %d: a row has other bits alone than among %d", format, rows, k, most)
	}
	if !testing.Short() && !sameBits(got, run(most)) {
		t.Errorf("%v, %d of %d: other bits by one block than by all", format, rows, k)
	}
}

// checkSteps runs a small model of a shape's formats: projections with what comes before and after.
func checkSteps(t *testing.T, d *Device, name string) {
	t.Helper()
	m := newBenchModel(t, d, shape{name, 1, 512, 768, 1024, backend.Heads{Q: 4, KV: 2, Dim: 64}}, 8)
	m.turn()
	for _, b := range []*backend.Batch{decodeBatch(1, 1), decodeBatch(6, 1), prefillBatch(21)} {
		run := func() []float32 {
			d.set(math.MaxInt)
			m.forward(b)
			return downloaded(t, d, m.logits.Slice(0, len(b.Logits)))
		}
		if got := d.byOneBlock(run); !testing.Short() && !sameBits(got, run()) {
			t.Errorf("%s, a step of %d rows: other bits by one block than by all", name, b.Rows())
		}
	}
}

// downloaded gives float32 elements of the device, after everything asked so far.
func downloaded(t *testing.T, d *Device, from backend.Tensor) []float32 {
	t.Helper()
	got := make([]float32, from.Rows*from.Cols)
	d.Download(driver.Bytes(got), from)
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	return got
}

// placed is a weight of random values.
func (r *gemmRig) placed(format tensor.DType, rows, k int) backend.Tensor {
	r.Helper()
	host := make([]byte, rows*format.RowBytes(k))
	format.Encode(host, r.values(rows*k))
	w, err := r.d.Place(format, rows, k, host)
	if err != nil {
		r.Fatal(err)
	}
	return w
}

// TestGemmRings: every kernel for many rows where its ring goes round.
func TestGemmRings(t *testing.T) {
	r := openGemms(t)
	p := r.product(130, 1024, 1024, r.matrix(rowOrder{natural, 144, 0}, 1024, 1024, 0))
	for i := range r.all {
		k := &r.all[i]
		t.Logf("%s: %.1f roundings", k.name, r.check(k.name, p, r.run(k, p, p.n, epilogueStore), epilogueStore))
	}
}
