package cuda

import (
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/driver/drivertest"
	"llorch/inference/tensor"
)

// TestTeamsShared: the shapes that there are kernels of have room for as many blocks on a multiprocessor of any GPU with
// compute capability 9.0 as they are for, beside the 1 KiB that each has reserved; those that there are none of have not.
func TestTeamsShared(t *testing.T) {
	const room = 228 << 10
	for _, c := range []struct{ teams, blocks, most, widest int }{{teamsOf, 1, teamsMost, 4}, {pairsOf, 2, pairsMost, 1}} {
		for _, s := range ringShapes {
			without := s.dim == 128 && s.queries > c.widest
			if bytes := c.blocks * (s.teamsShared(c.teams, reachShort.splits(decodeMost)) + 1024); (bytes > room) != without {
				t.Errorf("%+v, %d teams: %d bytes of %d", s, c.teams, bytes, room)
			}
		}
		if c.most*c.teams > mostAttendees {
			t.Errorf("%d blocks of %d teams, shares of %d", c.most, c.teams, mostAttendees)
		}
	}
}

// TestDecodeCall: few parts whose rows look back no further than 512 positions go to blocks of teams, and about two for each multiprocessor to
// blocks of two; others to clusters as long as there is room for them, then to blocks that share all splits.
func TestDecodeCall(t *testing.T) {
	d := openFake(t, drivertest.NewFake(), func(string) error { return nil })
	d.blocks = 132
	teams := map[int]driver.Function{teamsOf: 3, pairsOf: 5}
	kernels := []ringKernel{
		{ringShape: ringShape{128, 4, 3}, f: 1, cluster: 2, teams: teams},
		{ringShape: ringShape{64, 4, 4}, f: 1, cluster: 2, teams: teams},
		{ringShape: ringShape{128, 8, 3}, f: 1, cluster: 2},
	}
	d.kern.attention = &attention{
		rings: attendRings{tensor.F16: kernels}, ranks: ranksFor, teams: teamsFor,
		decode: map[attendKind]driver.Function{{tensor.F16, 128}: 4, {tensor.F16, 96}: 4},
	}
	for _, c := range []struct {
		dim, q, rows       int
		reach              reach
		function           driver.Function
		grid, teams, ranks int
	}{
		{128, 32, 1, reachShort, 3, 8, 32, 4},
		{128, 32, 4, reachShort, 3, 32, 128, 4},
		{128, 32, 5, reachShort, 2, 160, 160, 4},
		{128, 32, 1, reachMiddle, 2, 64, 64, 8},
		{128, 32, 16, reachShort, 2, 256, 256, 2},
		{128, 32, 17, reachShort, 1, 396, 396, 0},
		{128, 32, 21, reachShort, 1, 396, 396, 0},
		{128, 32, 22, reachShort, 5, 176, 352, 2},
		{128, 32, 33, reachShort, 5, 264, 528, 2},
		{128, 32, 33, reachMiddle, 1, 396, 396, 0},
		{128, 32, 34, reachShort, 1, 396, 396, 0},
		{128, 32, 1, reachLong, 1, 396, 396, 0},
		{128, 64, 32, reachShort, 1, 396, 396, 0}, // no pairs of this shape
		{64, 32, 8, reachShort, 2, 256, 256, 4},
		{64, 32, 9, reachShort, 5, 72, 144, 2},
		{64, 32, 9, reachMiddle, 2, 144, 144, 2},
		{64, 32, 34, reachShort, 1, 528, 528, 0},
		{96, 32, 1, reachShort, 4, 396, 396, 0},
	} {
		d.batch.reach = c.reach
		call := d.decodeCallFor(attendKind{tensor.F16, c.dim}, backend.Heads{Q: c.q, KV: 8, Dim: c.dim}, 16, c.rows)
		if call.f != c.function || int(call.c.Grid[0]) != c.grid || call.teams() != c.teams || call.ranks != c.ranks {
			t.Errorf("%+v: %+v", c, call)
		}
	}
}
