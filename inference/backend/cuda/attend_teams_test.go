package cuda

import (
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/driver/drivertest"
	"llorch/inference/tensor"
)

// TestTeamsShared: the shapes that there are kernels of have room in a block of any GPU with compute capability 9.0, the one
// that there is none of has not.
func TestTeamsShared(t *testing.T) {
	const room = 227 << 10
	for _, s := range ringShapes {
		without := s.dim == 128 && s.queries == 8
		if bytes := s.teamsShared(reachShort.splits(decodeMost)); (bytes > room) != without {
			t.Errorf("%+v: %d bytes of %d", s, bytes, room)
		}
	}
	if teamsMost*teamsOf > mostAttendees {
		t.Errorf("%d blocks of %d teams, shares of %d", teamsMost, teamsOf, mostAttendees)
	}
}

// TestDecodeCall: few parts whose rows look back no further than 512 positions go to blocks of teams, others to clusters as long as there
// is room for them, then to blocks that share all splits.
func TestDecodeCall(t *testing.T) {
	d := openFake(t, drivertest.NewFake(), func(string) error { return nil })
	d.blocks = 132
	kernel := ringKernel{ringShape: ringShape{128, 4, 3}, f: 1, cluster: 2, teams: 3}
	d.kern.attention = &attention{
		rings: attendRings{tensor.F16: {kernel}}, ranks: ranksFor, teams: teamsFor,
		decode: map[attendKind]driver.Function{{tensor.F16, 128}: 4, {tensor.F16, 96}: 4},
	}
	for _, c := range []struct {
		dim, rows          int
		reach              reach
		function           driver.Function
		grid, teams, ranks int
	}{
		{128, 1, reachShort, 3, 8, 32, 4},
		{128, 4, reachShort, 3, 32, 128, 4},
		{128, 5, reachShort, 2, 160, 160, 4},
		{128, 1, reachMiddle, 2, 64, 64, 8},
		{128, 32, reachShort, 1, 396, 396, 0},
		{128, 1, reachLong, 1, 396, 396, 0},
		{96, 1, reachShort, 4, 396, 396, 0},
	} {
		d.batch.reach = c.reach
		call := d.decodeCallFor(attendKind{tensor.F16, c.dim}, backend.Heads{Q: 32, KV: 8, Dim: c.dim}, 16, c.rows)
		if call.f != c.function || int(call.c.Grid[0]) != c.grid || call.teams() != c.teams || call.ranks != c.ranks {
			t.Errorf("%+v: %+v", c, call)
		}
	}
}
