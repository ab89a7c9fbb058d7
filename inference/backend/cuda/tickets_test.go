package cuda

import "testing"

// TestOwnStrips: blocks own at least what fills the ring, never more than there is, and
// leave two each or so to who is first.
func TestOwnStrips(t *testing.T) {
	for _, c := range []struct{ strips, blocks, passes, want int }{
		{1376, 132, 1, 8}, // gate and up of a 7B model
		{768, 132, 1, 3},  // its q, k and v
		{659, 132, 1, 0},  // 4.99 a block
		{660, 132, 1, 3},
		{8016, 132, 1, 58}, // a vocabulary of 128256
		{1376, 132, 2, 0},  // two passes keep the sums of their strips
		{256, 132, 1, 0},
		{16, 132, 1, 0},
	} {
		if got := ownStrips(c.strips, c.blocks, c.passes); int(got) != c.want {
			t.Errorf("%d strips, %d blocks, %d passes: %d owned, want %d", c.strips, c.blocks, c.passes, got, c.want)
		}
	}
}
