package tensor

import (
	"bytes"
	"sync/atomic"
	"testing"
)

func TestConvert(t *testing.T) {
	x := benchRow(3*piece + 512)
	for from := F32; from.Known(); from++ {
		for _, n := range []int{256, piece, piece + 256, len(x)} {
			src, wide := make([]byte, from.RowBytes(n)), make([]float32, n)
			from.Encode(src, x[:n])
			from.Decode(wide, src)
			for _, to := range []DType{F32, BF16, Q8_0, Q4_0, Q3_K, from} {
				if to == Q3_K && from != BF16 && n > 256 {
					continue // slow under the race detector
				}
				want := make([]byte, to.RowBytes(n))
				to.Encode(want, wide)
				if to == from {
					copy(want, src)
				}
				for _, workers := range []int{-1, 1, 2, 3, 9} {
					got := make([]byte, len(want))
					Convert(got, to, src, from, workers, nil)
					if !bytes.Equal(got, want) {
						t.Fatalf("%d elements from %v to %v on %d workers differ", n, from, to, workers)
					}
				}
			}
		}
	}
	Convert(nil, Q4_K, nil, BF16, 2, nil) // nothing is a number of whole blocks
}

// TestConvertWithEncoder: an encoder is asked for every piece, and what it refuses
// is encoded all the same.
func TestConvertWithEncoder(t *testing.T) {
	x := benchRow(2*piece + 256)
	src := make([]byte, F32.RowBytes(len(x)))
	F32.Encode(src, x)
	for _, knows := range []DType{Q8_0, Q4_0} {
		var asked, encoded atomic.Int64
		ones := func(d DType, dst []byte, src []float32) bool {
			asked.Add(1)
			if d != knows {
				return false
			}
			encoded.Add(int64(len(src)))
			for i := range dst {
				dst[i] = 1
			}
			return true
		}
		got, want := make([]byte, Q8_0.RowBytes(len(x))), make([]byte, Q8_0.RowBytes(len(x)))
		Convert(got, Q8_0, src, F32, 2, ones)
		most := int64(len(x))
		if knows == Q8_0 {
			copy(want, bytes.Repeat([]byte{1}, len(want)))
		} else {
			Q8_0.Encode(want, x)
			most = 0
		}
		if asked.Load() != 3 || encoded.Load() != most || !bytes.Equal(got, want) {
			t.Errorf("an encoder of %v was asked %d times, encoded %d elements; the bytes are right: %v", knows, asked.Load(), encoded.Load(), bytes.Equal(got, want))
		}
	}
}

func TestConvertRefusesParts(t *testing.T) {
	for _, c := range []struct {
		dst int
		to  DType
		src int
		in  DType
	}{
		{18, Q4_0, 2 * 31, BF16},  // not a block of the target
		{18, Q4_0, 2*32 + 1, F16}, // half an element
		{17, Q4_0, 2 * 32, F16},   // too little room
		{144, Q4_K, 34, Q8_0},     // a short block becomes no long one
		{4 * 32, F32, 33, Q8_0},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d bytes of %v became %d of %v", c.src, c.in, c.dst, c.to)
				}
			}()
			Convert(make([]byte, c.dst), c.to, make([]byte, c.src), c.in, 2, nil)
		}()
	}
}
