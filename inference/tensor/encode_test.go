package tensor

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readFloats(t *testing.T, name string) []float32 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, len(b)/4)
	F32.Decode(x, b)
	return x
}

// TestEncodeLikeLlamaQuantize compares every byte with what the reference
// quantisers of llama.cpp make of the same numbers; testdata/README.md says how
// the files were made.
func TestEncodeLikeLlamaQuantize(t *testing.T) {
	x := readFloats(t, "blocks.f32")
	for _, d := range blocked {
		want, err := os.ReadFile(filepath.Join("testdata", "blocks."+strings.ToLower(d.String())))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, d.RowBytes(len(x)))
		d.Encode(got, x)
		if len(got) != len(want) {
			t.Fatalf("%v: %d bytes, the file has %d", d, len(got), len(want))
		}
		for at := 0; at < len(got); at += d.BlockBytes() {
			g, w := got[at:at+d.BlockBytes()], want[at:at+d.BlockBytes()]
			if !bytes.Equal(g, w) {
				t.Errorf("%v block %d:\n%x, want\n%x", d, at/d.BlockBytes(), g, w)
			}
		}
	}
}

// TestEncodeError bounds the error for normally distributed weights, relative to
// their size, by what is left of a uniform quantiser: a format that loses a bit
// somewhere has twice as much.
func TestEncodeError(t *testing.T) {
	limit := map[DType]float64{
		Q4_0: 0.095, Q4_1: 0.082, Q5_0: 0.047, Q5_1: 0.040, Q8_0: 0.0061,
		Q2_K: 0.30, Q3_K: 0.175, Q4_K: 0.076, Q5_K: 0.038, Q6_K: 0.019,
	}
	r := rand.New(rand.NewPCG(2, 5))
	x := make([]float32, 64*256)
	for i := range x {
		x[i] = float32(r.NormFloat64() * 0.03)
	}
	for _, d := range blocked {
		b, y := make([]byte, d.RowBytes(len(x))), make([]float32, len(x))
		d.Encode(b, x)
		d.Decode(y, b)
		var e, s float64
		for i := range x {
			e += math.Pow(float64(x[i])-float64(y[i]), 2)
			s += math.Pow(float64(x[i]), 2)
		}
		got := math.Sqrt(e / s)
		if got > limit[d] || got < limit[d]/1.5 {
			t.Errorf("%v: relative error %.4f, the limit is %.4f", d, got, limit[d])
		}
	}
}

// TestEncodeSpoilsNonFinite: one NaN or infinity makes its own block NaN and
// leaves the others alone.
func TestEncodeSpoilsNonFinite(t *testing.T) {
	for _, d := range blocked {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			for _, at := range []int{0, 17, d.Block() - 1} {
				x := make([]float32, 3*d.Block())
				for i := range x {
					x[i] = float32(i%7) - 3
				}
				x[d.Block()+at] = bad
				b := make([]byte, d.RowBytes(len(x)))
				d.Encode(b, x)
				d.Decode(x, b)
				for i, v := range x {
					if in := i/d.Block() == 1; in != (v != v) {
						t.Fatalf("%v with %v at %d: element %d is %v", d, bad, at, i, v)
					}
				}
			}
		}
	}
}

// TestEncodeExtremes: magnitudes at both ends of float32 neither panic nor turn
// into ordinary numbers.
func TestEncodeExtremes(t *testing.T) {
	for _, d := range blocked {
		for _, c := range []float32{math.MaxFloat32, 1e30, 1e-30, math.SmallestNonzeroFloat32, 1e-40, 0, float32(math.Copysign(0, -1))} {
			x, b := make([]float32, d.Block()), make([]byte, d.BlockBytes())
			for i := range x {
				x[i] = c * float32(i%3-1)
			}
			d.Encode(b, x)
			y := make([]float32, len(x))
			d.Decode(y, b)
			for i, v := range y {
				if c >= 1e30 {
					if v-v == 0 && v != 0 {
						t.Fatalf("%v: %v became %v", d, x[i], v)
					}
				} else if v != 0 {
					t.Fatalf("%v: %v became %v", d, x[i], v)
				}
			}
		}
	}
}

// TestEncodeIsStable: numbers that a format has exactly come back as themselves,
// where encoding does not search for a scale.
func TestEncodeIsStable(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, d := range []DType{Q4_0, Q5_0, Q8_0} {
		row := make([]byte, 256*d.BlockBytes())
		for i := range row {
			row[i] = byte(r.Uint32())
		}
		for b := 0; b < len(row); b += d.BlockBytes() {
			binary.LittleEndian.PutUint16(row[b:], 0x1400+uint16(r.Uint32()&0x3ff))
			switch d { // one element at the level that sets the scale
			case Q4_0:
				row[b+2] &= 0xf0
			case Q5_0:
				row[b+6] &= 0xf0
				row[b+2] &= 0xfe
			case Q8_0:
				for i := 2; i < 34; i++ {
					row[b+i] = byte(max(-127, int8(row[b+i])))
				}
				row[b+2] = 127
			}
		}
		x, again := make([]float32, 256*d.Block()), make([]byte, len(row))
		d.Decode(x, row)
		d.Encode(again, x)
		if !bytes.Equal(row, again) {
			t.Errorf("%v: rows change when they are encoded again", d)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	x := benchRow(512)
	for d := F32; d.Known(); d++ {
		row := make([]byte, d.RowBytes(len(x)))
		if n := testing.AllocsPerRun(5, func() { d.Encode(row, x); d.Decode(x, row) }); n != 0 {
			t.Errorf("%v: %v allocations", d, n)
		}
	}
}
