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

// TestAttendRing: through shared memory, from clusters of every size and from blocks of teams, rows of the decode phase have the bits
// that they have without, however many there are, every time.
func TestAttendRing(t *testing.T) {
	d := openHardware(t)
	defer func() { _ = d.Close() }()
	if d.kern.attention.rings == nil {
		t.Skip("not run: the kernels are for compute capability 9.0")
	}
	mixed := append([]int{4096, 1, 2500}, attendLengths...)
	for i, lengths := range [][]int{
		{1}, {16}, {17}, {300}, {4096}, {15, 300, 17}, {1, 15, 16, 17, 300, 64, 65, 4096},
		slices.Repeat([]int{300}, 8), slices.Repeat([]int{300}, 32), mixed,
	} {
		for turn, of := range ringHeads {
			if (i+turn)%2 == 1 && i != 5 {
				continue
			}
			h := backend.Heads{Q: of[0], KV: of[1], Dim: of[2], Window: []int{0, 100, 1000}[(i+turn)%3], Scale: float32(1 / math.Sqrt(float64(of[2])))}
			r := newAttendRig(t, d, attendFormats[(i+turn)%2], h, lastOf(lengths), nil)
			r.rings(t)
			r.free(t)
		}
	}
}

// rings compares what goes through shared memory with what does not.
func (r *attendRig) rings(t *testing.T) {
	t.Helper()
	a := r.d.kern.attention
	rings := a.rings
	if rings.of(attendKind{r.kv.K.Type, r.h.Dim}, r.h, r.kv.PageSize).f == 0 {
		t.Fatalf("%+v: no kernel, nothing is compared", r.h)
	}
	a.rings = nil
	want := r.run(t, r.batch, r.qkv)
	a.rings = rings
	bound := map[tensor.DType]float64{tensor.F16: 1e-3, tensor.BF16: 6e-3}[r.kv.K.Type]
	if loss := r.loss(want, 0, r.batch.Rows(), 3); !(loss < bound) {
		t.Errorf("%v %+v, %d rows: a loss of %.2g", r.kv.K.Type, r.h, r.batch.Rows(), loss)
	}
	for run, c := range []struct {
		ranks int
		teams int
	}{{0, 0}, {2, 0}, {4, 0}, {8, 0}, {0, teamsOf}, {0, pairsOf}, {0, 0}, {8, 0}, {0, teamsOf}, {0, pairsOf}} {
		a.teams = func(_ ringShape, parts int, r reach) int {
			if parts*c.teams > mostAttendees || r != reachShort {
				return 0
			}
			return c.teams
		}
		a.ranks = func(_, most int, r reach) int {
			if ranksFor(1, most, r) == 0 { // more splits than a cluster has room for
				return 0
			}
			return c.ranks
		}
		name := fmt.Sprintf("%v %+v, %d rows to position %d, clusters of %d, teams %v, run %d", r.kv.K.Type, r.h, r.batch.Rows(), r.batch.Positions[0], c.ranks, c.teams, run)
		sameFloats(t, name, r.run(t, r.batch, r.qkv), want)
	}
	a.ranks, a.teams = ranksFor, teamsFor
}
