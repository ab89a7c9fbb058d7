package cuda

import (
	"slices"
	"testing"

	"llorch/inference/backend"
)

// TestDecodeCut: the splits of a row cover what it sees, each has something, and none
// is smaller than the shape allows unless it is the last.
func TestDecodeCut(t *testing.T) {
	for _, h := range []backend.Heads{{Q: 32, KV: 32, Dim: 128}, {Q: 32, KV: 8, Dim: 128}, {Q: 32, KV: 4, Dim: 64}, {Q: 9, KV: 1, Dim: 64}, {Q: 71, KV: 71, Dim: 64}} {
		s := decodeShapeOf(h)
		if s.most < 1 || s.most > decodeMost || s.parts < h.KV || s.rows(h) < 1 {
			t.Errorf("%+v: %+v, %d rows", h, s, s.rows(h))
		}
		for _, window := range []int{0, 1, 64, 65, 1000} {
			for p := range 9000 {
				splits, each := s.cut(p, window)
				first := 0
				if window > 0 {
					first = max(0, p-window+1)
				}
				blocks := p/64 - first/64 + 1
				if splits > s.most || (splits-1)*each >= blocks || splits*each < blocks || splits > 1 && each < 1<<s.least {
					t.Fatalf("%+v, window %d, position %d: %d splits of %d for %d blocks", s, window, p, splits, each, blocks)
				}
			}
		}
	}
}

func TestDecodeBlocks(t *testing.T) {
	for dim, want := range map[int]int{16: 660, 64: 660, 80: 528, 96: 396, 128: 396, 256: 264} {
		if got := decodeBlocks(dim, 132); got != want {
			t.Errorf("heads of %d: %d blocks, want %d", dim, got, want)
		}
	}
}

func TestPrefillTiles(t *testing.T) {
	b := &backend.Batch{Tokens: make([]int32, 2+130+32), Decode: 2, Seqs: []backend.Seq{{First: 0, Rows: 2}, {First: 2, Rows: 130}, {First: 132, Rows: 32}}}
	for _, s := range [][2]int32{{7, 2}, {0, 130}, {96, 32}} {
		for i := range s[1] {
			b.Positions = append(b.Positions, s[0]+i)
		}
	}
	if n := countTiles(b, 64); n != 4 {
		t.Fatalf("%d tiles", n)
	}
	got := make([]int32, 8)
	fillTiles(got, b, 64)
	if want := []int32{130, 2, 66, 64, 132, 32, 2, 64}; !slices.Equal(got, want) {
		t.Errorf("tiles %v, want %v", got, want)
	}
	got = make([]int32, 2*countTiles(b, wideRows))
	fillTiles(got, b, wideRows)
	if want := []int32{2, 130, 132, 32}; !slices.Equal(got, want) {
		t.Errorf("wide tiles %v, want %v", got, want)
	}
}

// TestPrefillShared: as sizeof(Prefill::Shared), and what a block can have on Ampere's
// smallest (99 KiB) but for heads of 256.
func TestPrefillShared(t *testing.T) {
	for dim, want := range map[int]int{16: 12816, 32: 21008, 64: 37392, 80: 45584, 96: 53776, 128: 70160, 256: 168448} {
		if got := prefillShared(dim); got != want {
			t.Errorf("heads of %d: %d bytes, want %d", dim, got, want)
		}
	}
}
