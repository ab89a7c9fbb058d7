package cuda

import (
	"slices"
	"testing"
)

// TestOperandOffset: rows and k of the swizzle by hand, and every byte pair used once.
func TestOperandOffset(t *testing.T) {
	for _, c := range []struct{ row, k, want int }{
		{0, 0, 0}, {0, 1, 2}, {0, 4, 4}, {0, 13, 14}, {0, 2, 16}, {0, 15, 30}, {0, 16, 32},
		{1, 0, 64}, {2, 0, 2*64 + 16}, {2, 2, 2 * 64}, {7, 0, 7*64 + 3*16}, {8, 0, 512}, {0, 32, 3 * 512},
	} {
		if got := operandOffset(c.row, c.k, 3); got != c.want {
			t.Errorf("row %d, k %d: %d, want %d", c.row, c.k, got, c.want)
		}
	}
	seen := make([]int, operandBytes(17, 65)/2)
	for row := range 24 {
		for k := range 128 {
			seen[operandOffset(row, k, 3)/2]++
		}
	}
	if slices.Min(seen) != 1 || slices.Max(seen) != 1 {
		t.Errorf("pairs used %d to %d times", slices.Min(seen), slices.Max(seen))
	}
}
