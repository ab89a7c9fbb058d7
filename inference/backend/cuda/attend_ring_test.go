package cuda

import (
	"testing"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// ringHeads are query and key heads in every shape of the kernels: groups that fill it and that do not, and
// one that is shared by two blocks.
var ringHeads = [][3]int{{32, 32, 128}, {8, 8, 64}, {8, 4, 128}, {8, 2, 128}, {12, 4, 64}, {32, 4, 64}, {24, 4, 128}, {20, 2, 64}}

// TestRingShapes: as many blocks as a shape says have room on a multiprocessor, beside the 1 KiB that
// each has reserved, and in what an attendance has room for on GPUs that there are.
func TestRingShapes(t *testing.T) {
	const room, multiprocessors = 228 << 10, 132
	for _, s := range ringShapes {
		if bytes := s.blocks * (s.shared() + 1024); bytes > room || s.blocks*multiprocessors > mostAttendees {
			t.Errorf("%+v: %d bytes of %d, %d blocks", s, bytes, room, s.blocks*multiprocessors)
		}
	}
}

// TestRingOf: the narrowest kernel that has room for a group of query heads; none for other heads, other
// formats and pages smaller than a tile.
func TestRingOf(t *testing.T) {
	all := attendRings{}
	for _, s := range ringShapes {
		all[tensor.F16] = append(all[tensor.F16], ringKernel{ringShape: s, f: 1, cluster: 2})
	}
	for _, c := range []struct {
		cache     tensor.DType
		q, kv     int
		dim, page int
		want      int // queries, 0: none
	}{
		{tensor.F16, 32, 32, 128, 16, 1}, {tensor.F16, 8, 4, 128, 16, 4}, {tensor.F16, 32, 8, 128, 64, 4}, {tensor.F16, 40, 8, 64, 16, 8},
		{tensor.F16, 71, 1, 64, 16, 8}, {tensor.F16, 32, 32, 96, 16, 0}, {tensor.F16, 32, 32, 128, 8, 0}, {tensor.F32, 32, 32, 128, 16, 0},
	} {
		r := all.of(attendKind{c.cache, c.dim}, backend.Heads{Q: c.q, KV: c.kv, Dim: c.dim}, c.page)
		if r.queries != c.want || (r.f != 0) != (c.want > 0) {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}
