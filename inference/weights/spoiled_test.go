package weights

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// spoiled finds the first scale with a full exponent, wherever among the eight that are
// looked at together it lies, and none elsewhere.
func TestSpoiled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.SampledFrom([]int{18, 20, 34, 84, 144, 210}).Draw(t, "block")
		first := rapid.IntRange(0, step).Draw(t, "first")
		b := make([]byte, rapid.IntRange(0, 20*step).Draw(t, "bytes"))
		for i := range b {
			b[i] = 0x3b // as many bits of an exponent as a finite number has, or nearly
		}
		for range rapid.IntRange(0, 3).Draw(t, "full") {
			if len(b) >= 2 {
				at := rapid.IntRange(0, len(b)-2).Draw(t, "at")
				binary.LittleEndian.PutUint16(b[at:], rapid.SampledFrom([]uint16{0x7c00, 0xfc00, 0x7e01, 0x7bff, 0xffff}).Draw(t, "bits"))
			}
		}
		want := int64(-1)
		for at := first; at+2 <= len(b); at += step {
			if binary.LittleEndian.Uint16(b[at:])>>10&31 == 31 {
				want = int64(at)
				break
			}
		}
		if got := spoiled(b, int64(first), int64(step)); got != want {
			t.Fatalf("byte %d, want %d", got, want)
		}
	})
}
