package cuda

import (
	"math/bits"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver/drivertest"
)

// TestRanksFor: a power of two of blocks, as many as have splits and no more than there is room for at once; none
// where a block would have several splits of a long row, or where the rows fill the device.
func TestRanksFor(t *testing.T) {
	for _, c := range []struct {
		parts, most int
		reach       reach
		want        int
	}{
		{1, 64, reachShort, 8}, {16, 16, reachShort, 8}, {17, 15, reachShort, 4}, {32, 8, reachShort, 4}, {66, 4, reachShort, 4},
		{67, 4, reachShort, 2}, {132, 4, reachShort, 2}, {133, 4, reachShort, 0}, {1000, 64, reachShort, 0},
		{4, 64, reachMiddle, 8}, {33, 8, reachMiddle, 8}, {34, 7, reachMiddle, 4}, {132, 64, reachMiddle, 2}, {133, 64, reachMiddle, 0},
		{4, 64, reachLong, 0}, {8, 33, reachLong, 0}, {32, 8, reachLong, 8}, {40, 6, reachLong, 4},
	} {
		if got := ranksFor(c.parts, c.most, c.reach); got != c.want {
			t.Errorf("%d parts, %d splits at most, reach %d: %d, want %d", c.parts, c.most, c.reach, got, c.want)
		}
	}
	for parts := range 300 {
		for r := reachShort; r <= reachLong; r++ {
			if n := ranksFor(parts, 8, r); n == 1 || bits.OnesCount(uint(n)) > 1 || n*parts > clusterGrid {
				t.Errorf("%d parts, reach %d: %d", parts, r, n)
			}
		}
	}
}

// TestReachSplits: rows have no more splits than their reach says, so what blocks send each other finds room.
func TestReachSplits(t *testing.T) {
	for _, of := range ringHeads {
		s := decodeShapeOf(backend.Heads{Q: of[0], KV: of[1], Dim: of[2]})
		seen := map[reach]int{}
		for position := range 9000 {
			for _, window := range []int{0, 1, 100, 1000} {
				splits, _ := s.cut(position, window)
				r := reachAt(position)
				if splits > r.splits(s.most) {
					t.Fatalf("%v, position %d, window %d: %d splits, reach %d has %d", of, position, window, splits, r, r.splits(s.most))
				}
				seen[r] = max(seen[r], splits)
			}
		}
		for r, most := range seen {
			if most != r.splits(s.most) {
				t.Errorf("%v, reach %d: %d splits, room for %d", of, r, most, r.splits(s.most))
			}
		}
	}
}

// TestClusterShared: two blocks of a cluster of any size have room on a multiprocessor, beside the 1 KiB that each
// has reserved.
func TestClusterShared(t *testing.T) {
	const room = 228 << 10
	for _, s := range ringShapes {
		for ranks := 2; ranks <= clusterRanks; ranks *= 2 {
			if bytes := s.clusterShared(ranks, reachMiddle.splits(decodeMost)); 2*(bytes+1024) > room {
				t.Errorf("%+v, clusters of %d: %d bytes of %d", s, ranks, 2*(bytes+1024), room)
			}
		}
	}
}

// TestGraphKey: steps of decode rows are kept by their number and reach; others are not kept.
func TestGraphKey(t *testing.T) {
	d := openFake(t, drivertest.NewFake(), func(string) error { return nil })
	step := func(prompt int, positions ...int) graphKey {
		b := &backend.Batch{Decode: len(positions)}
		for i, at := range append(positions, make([]int, prompt)...) {
			b.Tokens, b.Positions = append(b.Tokens, 0), append(b.Positions, int32(at))
			b.Seqs = append(b.Seqs, backend.Seq{First: i, Rows: 1})
		}
		d.use(b)
		return d.graphKey()
	}
	for _, c := range []struct {
		prompt    int
		positions []int
		want      graphKey
	}{
		{0, []int{0}, graphKey{1, reachShort}},
		{0, []int{511}, graphKey{1, reachShort}},
		{0, []int{512}, graphKey{1, reachMiddle}},
		{0, []int{3, 2047, 5}, graphKey{3, reachMiddle}},
		{0, []int{3, 2048, 600}, graphKey{3, reachLong}},
		{0, make([]int, graphRows), graphKey{graphRows, reachShort}},
		{0, make([]int, graphRows+1), graphKey{}},
		{1, []int{5}, graphKey{}},
		{3, nil, graphKey{}},
	} {
		if got := step(c.prompt, c.positions...); got != c.want {
			t.Errorf("%d decode rows at %v, %d of prompts: %+v, want %+v", len(c.positions), c.positions, c.prompt, got, c.want)
		}
	}
}
