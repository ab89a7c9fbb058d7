//go:build cuda

package cuda

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

// TestProductsRepeat: gate, up and down of a large model give the same bits every time.
// They run at the speed of shared memory here, for their weights come from L2; then a
// place in the ring that is given back before it was read shows.
func TestProductsRepeat(t *testing.T) {
	s := shape{"7b", 1, 4096, 11008, 4000, backend.Heads{Q: 32, KV: 32, Dim: 128}}
	d := openHardware(t)
	m := newBenchModel(t, d, s, 64)
	m.step(t, decodeBatch(1, 1)) // weights are laid out
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 2, 5, 6, 7, 8, 16, 24, 32} {
		x := make([]float32, n*s.hidden)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		for _, from := range []int{1, math.MaxInt} {
			d.set(from)
			first := m.mlp(t, n, x)
			for run := range 30 {
				if !bytes.Equal(m.mlp(t, n, x), first) {
					t.Fatalf("%d rows, streamed from %d on, run %d: other bits than before", n, from, run)
				}
			}
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// mlp is what a layer's second half makes of x. The products run as in a model of more
// layers: nobody else reads what SwiGLU leaves, since another op would write it.
func (m *benchModel) mlp(t *testing.T, n int, x []float32) []byte {
	d, b, l := m.d, decodeBatch(n, 1), &m.layer[0]
	v := func(t backend.Tensor) backend.Tensor { return t.Slice(0, n) }
	d.Upload(v(m.x), driver.Bytes(x))
	d.RMSNorm(v(m.h), v(m.x), m.norm, 1e-5)
	d.Linear(v(m.gateUp), v(m.h), l.gateUp, b)
	d.SwiGLU(v(m.act), v(m.gateUp))
	d.LinearAdd(v(m.x), v(m.act), l.down, b)
	d.SwiGLU(v(m.act), v(m.gateUp))
	plan := slices.Clone(d.plan)
	d.plan = d.plan[:0]
	for at := 0; at < 4; {
		k := d.fused(plan[at:])
		if k == 0 {
			t.Fatalf("op %d of the plan has no kernel", at)
		}
		at += k
	}
	out := make([]byte, 4*len(x))
	d.Download(out, v(m.x))
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	return out
}
