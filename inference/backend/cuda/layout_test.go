package cuda

import (
	"slices"
	"testing"
)

// TestFragmentOffset: the first lanes of a tile by hand, and every byte pair used once.
func TestFragmentOffset(t *testing.T) {
	for _, c := range []struct{ row, k, want int }{
		{0, 0, 0}, {0, 1, 2}, {8, 0, 4}, {8, 1, 6}, {0, 2, 8}, {0, 3, 10}, {8, 3, 14},
		{0, 4, 16}, {1, 0, 64}, {7, 15, 31*16 + 10}, {15, 15, 31*16 + 14},
		{0, 16, 512}, {16, 0, 3 * 512}, {31, 47, 6*512 - 2},
	} {
		if got := fragmentOffset(c.row, c.k, 48); got != c.want {
			t.Errorf("row %d, k %d: %d, want %d", c.row, c.k, got, c.want)
		}
	}
	everyPair(t, fragmentBytes(3, 32), 48, 32, func(row, k int) int { return fragmentOffset(row, k, 32) })
}

// TestPackedOffset: rows and k of the swizzle by hand, and every byte pair used once.
func TestPackedOffset(t *testing.T) {
	for _, c := range []struct{ row, k, want int }{
		{0, 0, 0}, {0, 1, 2}, {0, 4, 4}, {0, 13, 14}, {0, 2, 16}, {0, 15, 30}, {0, 16, 32},
		{1, 0, 64}, {2, 0, 2*64 + 16}, {2, 2, 2 * 64}, {7, 0, 7*64 + 3*16}, {8, 0, 512}, {0, 32, 3 * 512},
	} {
		if got := packedOffset(c.row, c.k, 3); got != c.want {
			t.Errorf("row %d, k %d: %d, want %d", c.row, c.k, got, c.want)
		}
	}
	everyPair(t, packedBytes(17, 65), 24, 128, func(row, k int) int { return packedOffset(row, k, 3) })
}

func everyPair(t *testing.T, bytes, rows, cols int, offset func(row, k int) int) {
	t.Helper()
	seen := make([]int, bytes/2)
	for row := range rows {
		for k := range cols {
			seen[offset(row, k)/2]++
		}
	}
	if slices.Min(seen) != 1 || slices.Max(seen) != 1 {
		t.Errorf("pairs used %d to %d times", slices.Min(seen), slices.Max(seen))
	}
}

// TestRowOrder: the rows of some strips, and each output row once.
func TestRowOrder(t *testing.T) {
	for _, c := range []struct {
		o     rowOrder
		strip int
		want  []int
	}{
		{rowOrder{natural, 18, 0}, 1, []int{16, 17, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}},
		{rowOrder{gateUp, 20, 0}, 0, []int{0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17}},
		{rowOrder{gateUp, 20, 0}, 1, []int{8, 9, -1, -1, -1, -1, -1, -1, 18, 19, -1, -1, -1, -1, -1, -1}},
		{rowOrder{rotaryHalves, 64, 32}, 3, []int{40, 41, 42, 43, 44, 45, 46, 47, 56, 57, 58, 59, 60, 61, 62, 63}},
		{rowOrder{rotaryNeighbours, 64, 32}, 3, []int{48, 50, 52, 54, 56, 58, 60, 62, 49, 51, 53, 55, 57, 59, 61, 63}},
	} {
		seen := make([]int, c.o.rows)
		for row := range 16 * c.o.strips() {
			got := c.o.output(row)
			if got >= 0 {
				seen[got]++
			}
			if row/16 == c.strip && got != c.want[row%16] {
				t.Errorf("%+v, row %d: %d, want %d", c.o, row, got, c.want[row%16])
			}
		}
		if slices.Min(seen) != 1 || slices.Max(seen) != 1 {
			t.Errorf("%+v: rows used %d to %d times", c.o, slices.Min(seen), slices.Max(seen))
		}
	}
}
