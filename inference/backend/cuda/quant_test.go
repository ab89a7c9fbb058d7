package cuda

import (
	"slices"
	"testing"

	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// TestRecordPlaces: the integers of a record have places of their own, which fill what
// their format has for them in each half, and a lane's of a tile, or of 16 k, lie together.
func TestRecordPlaces(t *testing.T) {
	for format, c := range map[tensor.DType]struct{ bits, lane, tiles int }{
		tensor.Q8_0: {8, 16, 1}, tensor.Q4_0: {4, 4, 2}, tensor.Q4_K: {4, 4, 2}, tensor.Q6_K: {4, 8, 1},
	} {
		seen := map[[2]int]bool{}
		for i := range 16 {
			for k := range recordK {
				at, bit := levelPlace(format, i, k)
				in := at - sliceAt(format, k/32)
				if bit%c.bits != 0 || in < 0 || in >= 64*c.bits || in/c.lane != k%32/16%c.tiles*32+i%8*4+k%16/4 || seen[[2]int{at, bit}] {
					t.Fatalf("%v: row %d, k %d: byte %d, bit %d", format, i, k, at, bit)
				}
				seen[[2]int{at, bit}] = true
			}
		}
	}
	seen := map[[2]int]bool{}
	for i := range 16 {
		for k := range recordK {
			at, bit := twoPlace(i, k)
			in := at - sliceAt(tensor.Q6_K, k/32) - 256
			if bit%2 != 0 || in < 0 || in >= 128 || in/4 != i%8*4+k%16/4 || seen[[2]int{at, bit}] {
				t.Fatalf("two bits of row %d, k %d: byte %d, bit %d", i, k, at, bit)
			}
			seen[[2]int{at, bit}] = true
		}
	}
}

// TestSlicePlaces: slices follow each other in each half of a record, with room for scales behind.
func TestSlicePlaces(t *testing.T) {
	for format, scales := range map[tensor.DType]int{tensor.Q8_0: 256, tensor.Q4_0: 256, tensor.Q4_K: 256, tensor.Q6_K: 288} {
		end := 0
		for i := range warps {
			if at := sliceAt(format, i); at != end {
				t.Errorf("%v: slice %d at byte %d, want %d", format, i, at, end)
			}
			if end += quantFormats[format].slice; i%8 == 7 {
				end += scales
			}
		}
		if end != recordBytes(format) {
			t.Errorf("%v: %d bytes, want %d", format, end, recordBytes(format))
		}
	}
}

// TestRecordBytes: records are as large as in a file, and multiples of what bulk copies take.
func TestRecordBytes(t *testing.T) {
	for format, want := range map[tensor.DType]int{tensor.Q8_0: 8704, tensor.Q4_0: 4608, tensor.Q4_K: 4608, tensor.Q6_K: 6720} {
		if got := recordBytes(format); got != want || got%16 != 0 {
			t.Errorf("%v: %d bytes, want %d", format, got, want)
		}
		if !quantised(format) {
			t.Errorf("%v is not quantised", format)
		}
	}
	if quantised(tensor.BF16) || quantised(tensor.Q2_K) {
		t.Error("formats without kernels are quantised")
	}
}

// TestQuantLaunch: activations and at least three stages fit for one row of the longest, launches
// take all rows, and no more than there is room for.
func TestQuantLaunch(t *testing.T) {
	for format := range quantFormats {
		for _, records := range []int{1, 4, 8, 11, 16, 28, 56, mostRecords} {
			for _, ring := range []bool{true, false} {
				for n := 1; n <= 33; n++ {
					for left := n; left > 0; {
						rows := quantRows([]tensor.DType{format}, records, left, ring)
						l := quantLaunchFor(format, records, rows)
						if rows < 1 || rows > min(8, left) {
							t.Fatalf("%v of %d records: %d rows of %d", format, records, rows, left)
						}
						if ring && (l.stages < 3 || l.stages > mostStages || l.xBytes+l.stages*l.stageBytes > quantShared) {
							t.Errorf("%v of %d records, %d rows: %+v", format, records, rows, l)
						}
						if !ring && rows > 1 && l.xBytes > plainShared {
							t.Errorf("%v of %d records, %d rows: %+v without a ring", format, records, rows, l)
						}
						left -= rows
					}
				}
			}
		}
	}
	if rows := quantRows([]tensor.DType{tensor.Q4_K, tensor.Q6_K}, 8, 8, true); rows != 8 {
		t.Errorf("8 rows of 4096 are launched %d at a time", rows)
	}
}

// TestSlices: slices hold every strip once, in order, with where it begins.
func TestSlices(t *testing.T) {
	const records = 8
	parts := []part{
		{w: 1 << 20, strips: 20, format: int32(tensor.Q4_K), col: 0},
		{w: 8 << 20, strips: 5, format: int32(tensor.Q4_K), col: 320},
		{w: 16 << 20, strips: 9, first: 3, format: int32(tensor.Q6_K), col: 400},
	}
	for _, strips := range []int{1, 4, 7, 20, 34, 100} {
		next := make([]int32, len(parts))
		for _, slice := range slicesOf(parts, strips, records) {
			n := 0
			for _, q := range slice {
				i := 0
				for parts[i].col != q.col {
					i++
				}
				p := parts[i]
				at := p.w + driver.Ptr(int(next[i])*records*recordBytes(tensor.DType(p.format)))
				if q.first != p.first+next[i] || q.w != at || q.strips < 1 || len(slice) > 3 {
					t.Errorf("%d strips: %+v after %d of part %d", strips, q, next[i], i)
				}
				next[i] += q.strips
				n += int(q.strips)
			}
			if n > strips {
				t.Errorf("a slice of %d strips, at most %d", n, strips)
			}
		}
		for i, p := range parts {
			if next[i] != p.strips {
				t.Errorf("%d strips: %d of part %d of %d", strips, next[i], i, p.strips)
			}
		}
	}
}

// TestQuantRuns: every run has blocks and no block more than its strips; blocks of a mixed
// projection have about the same to read.
func TestQuantRuns(t *testing.T) {
	p := func(format tensor.DType, strips int32) part { return part{format: int32(format), strips: strips} }
	for _, c := range []struct {
		parts []part
		want  []run
	}{
		{[]part{p(tensor.Q8_0, 256)}, []run{{format: int32(tensor.Q8_0)}, {block: 132, strip: 256}}},
		{[]part{p(tensor.Q8_0, 5)}, []run{{format: int32(tensor.Q8_0)}, {block: 5, strip: 5}}},
		{[]part{p(tensor.Q4_K, 256), p(tensor.Q4_K, 64)}, []run{{format: int32(tensor.Q4_K)}, {block: 132, strip: 320}}},
	} {
		if got := quantRuns(c.parts, 8, 132); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %+v, want %+v", c.parts, got, c.want)
		}
	}
	got := quantRuns([]part{p(tensor.Q4_K, 256), p(tensor.Q4_K, 64), p(tensor.Q6_K, 64)}, 8, 132)
	if len(got) != 3 || got[2].block > 132 || got[1].strip != 320 || got[2].strip != 384 {
		t.Fatalf("%+v", got)
	}
	for i := range 2 {
		per := ceilDiv(int(got[i+1].strip-got[i].strip), int(got[i+1].block-got[i].block))
		if bytes := per * recordBytes(tensor.DType(got[i].format)); bytes > 4*4608 {
			t.Errorf("run %d: %d bytes of a record for a block", i, bytes)
		}
	}
}
