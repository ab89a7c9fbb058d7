//go:build cuda

package cuda

import (
	"slices"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/sample"
	"llorch/inference/tensor"
)

func init() {
	shapeFormats["q4_0"] = func(string, bool) tensor.DType { return tensor.Q4_0 }
}

// chainShapes are models in every format of chains: with blocks that have no strips, rows that end within a
// stage, layers whose formats mix.
var chainShapes = []shape{
	{"small", 3, 320, 704, 4000, backend.Heads{Q: 4, KV: 2, Dim: 64}},
	{"odd", 3, 1040, 2736, 5008, backend.Heads{Q: 6, KV: 1, Dim: 96}},
	{"1.1b", 3, 2048, 5632, 4000, backend.Heads{Q: 32, KV: 4, Dim: 64}},
	{"7b", 2, 4096, 11008, 4000, backend.Heads{Q: 32, KV: 32, Dim: 128}},
	{"8b", 2, 4096, 14336, 4000, backend.Heads{Q: 32, KV: 8, Dim: 128}},
	{"q4_0", 3, 1024, 2816, 4000, backend.Heads{Q: 16, KV: 4, Dim: 64}},
	{"llama3-8b-q8_0", 2, 4096, 14336, 4096, backend.Heads{Q: 32, KV: 8, Dim: 128}},
	{"llama3-8b-q4_k_m", 4, 4096, 14336, 4096, backend.Heads{Q: 32, KV: 8, Dim: 128}},
	{"llama3-8b-q4_k_m", 8, 512, 768, 1024, backend.Heads{Q: 4, KV: 2, Dim: 64}},
}

// checkChained: in a step of one row whatever is added to the residual stream is told to a projection.
func (m *benchModel) checkChained(t *testing.T) {
	t.Helper()
	d, b := m.d, decodeBatch(1, 1)
	m.forward(b)
	ids := make([]int32, 1)
	d.Sample(ids, m.logits.Slice(0, 1), make([]sample.Params, 1))
	chained := 0
	d.spill()
	for i := range d.plan {
		if d.plan[i].kind == opLinear && d.plan[i].add {
			chained += min(1, len(d.linksOf(d.plan[i:])))
		}
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	if chained != 2*m.layers {
		t.Errorf("%d of the step's %d additions begin a chain", chained, 2*m.layers)
	}
}

// TestChainAgrees: steps of one row whose projections go in chains have the bits that they have in
// launches of their own, launched one by one and as graphs, again and again.
func TestChainAgrees(t *testing.T) {
	for _, s := range chainShapes {
		t.Run(s.name, func(t *testing.T) {
			d := openHardware(t)
			m := newBenchModel(t, d, s, 4*ceilDiv(streamContext, benchPage))
			m.fillCaches()
			m.turn()
			for _, context := range []int{1, streamContext} {
				d.unchained = true
				d.forgetAll()
				want := m.bits(t, 1, context)[0]
				if distinct(want) < len(want)/100 {
					t.Fatalf("%d logits with %d values: nothing is compared", len(want), distinct(want))
				}
				d.unchained = false
				d.forgetAll()
				for round := range 20 {
					for run, got := range m.bits(t, 1, context) {
						if n := differing(got, want, m.vocab); slices.Max(n) > 0 {
							t.Fatalf("context %d, round %d, run %d: %d of %d logits differ", context, round, run, n, m.vocab)
						}
					}
				}
			}
			m.checkChained(t)
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
