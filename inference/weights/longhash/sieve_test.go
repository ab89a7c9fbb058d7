package longhash

import (
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSieve: a word with all bits of the mask is found wherever it lies in a stretch of
// blocks, none is where there is none, and sums are those of the plain twin.
func TestSieve(t *testing.T) {
	if !sumsBlocks(t) {
		return
	}
	rapid.Check(t, func(t *rapid.T) {
		period := rapid.SampledFrom([]int{2, 4, 8, 18, 20, 22, 24, 34, 84, 110, 144, 176, 210}).Draw(t, "period")
		words := []int{rapid.IntRange(0, period/2-1).Draw(t, "word") * 2}
		if period > 24 && rapid.Bool().Draw(t, "two") {
			words = append(words, (words[0]+2)%period)
		}
		mask := rapid.SampledFrom([]uint16{0x7c00, 0x7f80, 0x7ff0}).Draw(t, "mask")
		at := int64(rapid.IntRange(0, 3000).Draw(t, "at")) * 2
		data := make([]byte, rapid.IntRange(2, 40).Draw(t, "blocks")*Block+rapid.IntRange(1, Block).Draw(t, "more"))
		for i := range data {
			data[i] = 0x7b // nearly a full exponent
		}
		for range rapid.IntRange(0, 2).Draw(t, "full") {
			p := rapid.IntRange(0, len(data)/2-1).Draw(t, "p") * 2
			binary.LittleEndian.PutUint16(data[p:], mask|rapid.SampledFrom([]uint16{0, 0x8000, 0x8001, 1}).Draw(t, "other bits"))
		}
		h, s := New(data), NewSieve(at, period, words, mask)
		from := rapid.IntRange(0, h.whole()-1).Draw(t, "from") * Block
		to := rapid.IntRange(from/Block, h.whole()).Draw(t, "to") * Block

		want := false
		for p := from; p < to; p += 2 {
			in := (int64(p) - at) % int64(period)
			in = (in + int64(period)) % int64(period)
			want = want || slices.Contains(words, int(in)) && binary.LittleEndian.Uint16(data[p:])&mask == mask
		}
		sums, found := h.Sieved(nil, from, to, s)
		if found != want {
			t.Fatalf("found %v, want %v", found, want)
		}
		for i, got := range sums {
			var want Sum
			for s := range Block / hashStripe {
				accumulate(&want, data[from+i*Block+s*hashStripe:], hashSecret[8*s:])
			}
			if got != want {
				t.Fatalf("block %d: %x, want %x", i, got, want)
			}
		}
	})
	if NewSieve(1, 34, []int{0}, 0x7c00) != nil {
		t.Error("words at odd bytes are looked at")
	}
}
