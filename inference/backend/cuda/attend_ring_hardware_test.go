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

// TestAttendRing: by way of the ring, rows of the decode phase have the bits that they have without it,
// whatever its shape, however many there are, every time.
func TestAttendRing(t *testing.T) {
	d := openHardware(t)
	defer func() { _ = d.Close() }()
	if len(d.kern.attention.rings) == 0 {
		t.Skip("no kernel for this device")
	}
	mixed := append([]int{4096, 1, 2500}, attendLengths...)
	for i, lengths := range [][]int{
		{1}, {16}, {17}, {300}, {4096}, {15, 300, 17}, {1, 15, 16, 17, 300, 64, 65, 4096},
		slices.Repeat([]int{300}, 8), slices.Repeat([]int{300}, 32), mixed,
	} {
		for turn, window := range []int{0, 100, 0, 1000} {
			h := backend.Heads{Q: 8, KV: 8, Dim: 128, Window: window, Scale: float32(1 / math.Sqrt(128))}
			if turn == 0 { // as in a model: all blocks have work
				h.Q, h.KV = 32, 32
			}
			r := newAttendRig(t, d, attendFormats[(i+turn/2)%2], h, lastOf(lengths), nil)
			r.rings(t)
			r.free(t)
		}
	}
}

// rings compares rings of all shapes with none.
func (r *attendRig) rings(t *testing.T) {
	t.Helper()
	set := func(ring decodeRing) {
		if err := r.d.kern.attention.setRing(r.d.drv, ring); err != nil {
			t.Fatal(err)
		}
	}
	set(decodeRing{rows: math.MaxInt, blocks: 3, depth: 1})
	want := r.run(t, r.batch, r.qkv)
	bound := map[tensor.DType]float64{tensor.F16: 1e-3, tensor.BF16: 6e-3}[r.kv.K.Type]
	if r.h.Q < 32 {
		if loss := r.loss(want, 0, r.batch.Rows(), 1); !(loss < bound) {
			t.Errorf("%v %+v, %d rows: a loss of %.2g", r.kv.K.Type, r.h, r.batch.Rows(), loss)
		}
	}
	for _, ring := range []decodeRing{{1, 3, 2}, {1, 3, 1}, {1, 2, 3}, {1, 1, 6}, {1, 4, 1}} {
		set(ring)
		for run := range 4 {
			name := fmt.Sprintf("%v %+v, %d rows to position %d, %+v, run %d", r.kv.K.Type, r.h, r.batch.Rows(), r.batch.Positions[0], ring, run)
			sameFloats(t, name, r.run(t, r.batch, r.qkv), want)
		}
	}
	set(usualRing)
}
