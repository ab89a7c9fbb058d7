package cuda

import (
	"slices"
	"testing"
)

// TestRowKinds: whatever the kind, strips hold every row once, and the two of a pair
// eight apart.
func TestRowKinds(t *testing.T) {
	for _, c := range []struct {
		kind       rowKind
		rows, span int
		pair       func(lo, hi int) bool
	}{
		{natural, 64, 0, func(lo, hi int) bool { return hi == lo+8 }},
		{gateUp, 2 * 48, 48, func(lo, hi int) bool { return lo < 48 && hi == lo+48 }},
		{halves, 3 * 32, 32, func(lo, hi int) bool { return lo%32 < 16 && hi == lo+16 }},
		{halves, 2 * 128, 128, func(lo, hi int) bool { return lo%128 < 64 && hi == lo+64 }},
		{neighbours, 96, 32, func(lo, hi int) bool { return lo%2 == 0 && hi == lo+1 }},
	} {
		var all []int
		for s := range c.rows / 16 {
			for i := range 16 {
				all = append(all, c.kind.row(c.span, s, i))
			}
			for i := range 8 {
				if lo, hi := c.kind.row(c.span, s, i), c.kind.row(c.span, s, i+8); !c.pair(lo, hi) {
					t.Errorf("kind %d, strip %d: rows %d and %d", c.kind, s, lo, hi)
				}
			}
		}
		slices.Sort(all)
		for i, row := range all {
			if row != i {
				t.Fatalf("kind %d of %d rows: row %d at %d", c.kind, c.rows, row, i)
			}
		}
	}
}

// TestFragmentOffset: every element has a place of its own, tiles are 512 bytes in a
// row, and a lane has four neighbours in k of two rows.
func TestFragmentOffset(t *testing.T) {
	const strips, tiles = 3, 4
	seen := make([]bool, strips*tiles*256)
	for s := range strips {
		for i := range 16 {
			for k := range tiles * 16 {
				at := fragmentOffset(s, i, k, tiles)
				if at%2 != 0 || at/512 != s*tiles+k/16 || at%512/16 != i%8*4+k%16/4 || seen[at/2] {
					t.Fatalf("row %d of strip %d, k %d: at %d", i, s, k, at)
				}
				seen[at/2] = true
			}
		}
	}
}

// TestChunks: launches cover k once, padded by less than a quarter from 2048 on, with
// kernels that exist.
func TestChunks(t *testing.T) {
	known := geometries()
	for _, c := range []struct{ k, strips, launches int }{
		{64, 4, 1}, {896, 56, 1}, {2048, 160, 1}, {4096, 768, 1}, {5632, 128, 1}, {6144, 9, 1},
		{11008, 256, 1}, {14336, 256, 1}, {8192, 512, 2}, {28672, 512, 5}, {18944, 224, 4},
	} {
		tiles := tilesFor(c.k)
		if tiles*16 < c.k || c.k >= 2048 && tiles*16*4 > c.k*5 {
			t.Errorf("k %d: %d tiles", c.k, tiles)
		}
		all, next := chunksFor(tiles, c.strips, 132), 0
		for _, ch := range all {
			if ch.k0 != next || !slices.Contains(known, ch.geometry) {
				t.Errorf("k %d: %+v after %d", c.k, ch, next)
			}
			next += ch.tiles * ch.passes * 16 * warps
		}
		if next != tiles*16 || len(all) != c.launches {
			t.Errorf("k %d: %d launches to %d of %d", c.k, len(all), next, tiles*16)
		}
	}
}
