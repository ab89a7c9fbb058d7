package longhash

import (
	"math/rand/v2"
	"testing"

	"github.com/zeebo/xxh3"
	"pgregory.net/rapid"
)

// sumsBlocks tells whether this host sums blocks itself. Where it does not, the library does: nothing
// may be given out that would.
func sumsBlocks(t *testing.T) bool {
	t.Helper()
	if !hashesBlocks && (New(make([]byte, 4*Block)) != nil || NewSieve(0, 2, []int{0}, 0x7c00) != nil) {
		t.Error("blocks are to be summed on a host that cannot")
	}
	return hashesBlocks
}

// The library is the oracle: the sum is the same for every length, and whatever stretches
// its blocks are summed in, the last ones first.
func TestSum(t *testing.T) {
	if !sumsBlocks(t) {
		return
	}
	all := make([]byte, 5*Block+1)
	for i, r := 0, rand.New(rand.NewPCG(5, 9)); i < len(all); i++ {
		all[i] = byte(r.Uint32())
	}
	for n := range len(all) + 1 {
		h := New(all[:n])
		if (h == nil) != (n < shortestLong) {
			t.Fatalf("%d bytes: %v", n, h)
		}
		if h == nil {
			continue
		}
		if h.Join(h.Blocks(nil, 0, n)); h.Sum() != xxh3.Hash128(all[:n]) {
			t.Fatalf("%d bytes: %x, want %x", n, h.Sum(), xxh3.Hash128(all[:n]))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.IntRange(0, 64).Draw(t, "from") // at any address
		b := all[from : from+rapid.IntRange(shortestLong, len(all)-from).Draw(t, "bytes")]
		h := New(b)
		ends := []int{0}
		for end := 0; end < len(b); ends = append(ends, end) {
			end = min(end+Block*rapid.IntRange(1, 4).Draw(t, "blocks"), len(b))
		}
		parts := make([][]Sum, len(ends)-1)
		for i := len(parts) - 1; i >= 0; i-- {
			parts[i] = h.Blocks(nil, ends[i], ends[i+1])
		}
		for _, sums := range parts {
			h.Join(sums)
		}
		if h.Sum() != xxh3.Hash128(b) {
			t.Fatalf("%x, want %x", h.Sum(), xxh3.Hash128(b))
		}
	})
}
