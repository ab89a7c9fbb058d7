package tensor

import (
	"math"
	"testing"
)

// TestF16AgainstDefinition checks all 65536 halves against
// (-1)^s · 2^(e-15) · (1 + f/1024), worked in float64.
func TestF16AgainstDefinition(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		s, e, f := float64(1-2*int(h>>15)), int(h>>10&31), float64(h&1023)
		var want float64
		switch e {
		case 0:
			want = s * math.Ldexp(f/1024, -14)
		case 31:
			want = s * math.Inf(1)
			if f != 0 {
				want = math.NaN()
			}
		default:
			want = s * math.Ldexp(1+f/1024, e-15)
		}
		got := F16ToFloat32(h)
		if float64(got) != want && !(math.IsNaN(want) && got != got) {
			t.Fatalf("%#04x: got %v, want %v", h, got, want)
		}
		if got == got && Float32ToF16(got) != h {
			t.Fatalf("%#04x comes back as %#04x", h, Float32ToF16(got))
		}
		if got != got && Float32ToF16(got)&0x7fff <= 0x7c00 {
			t.Fatalf("NaN %#04x comes back as %#04x", h, Float32ToF16(got))
		}
	}
}

// TestEncodeRoundsToNearestEven walks the midpoints between neighbours.
func TestEncodeRoundsToNearestEven(t *testing.T) {
	for _, c := range []struct {
		d      DType
		widen  func(uint16) float32
		narrow func(float32) uint16
		last   uint16 // largest finite
	}{{F16, F16ToFloat32, Float32ToF16, 0x7bff}, {BF16, BF16ToFloat32, Float32ToBF16, 0x7f7f}} {
		for h := uint16(0); h < c.last; h++ {
			lo, hi := c.widen(h), c.widen(h+1)
			mid := float32((float64(lo) + float64(hi)) / 2)
			if float64(mid) != (float64(lo)+float64(hi))/2 {
				continue // the midpoint is below float32's own resolution
			}
			even := h + h&1
			if got := c.narrow(mid); got != even {
				t.Fatalf("%v: midpoint above %#04x goes to %#04x, want %#04x", c.d, h, got, even)
			}
			if got := c.narrow(math.Nextafter32(mid, hi)); got != h+1 {
				t.Fatalf("%v: above the midpoint of %#04x: %#04x", c.d, h, got)
			}
			if got := c.narrow(math.Nextafter32(mid, lo)); got != h {
				t.Fatalf("%v: below the midpoint of %#04x: %#04x", c.d, h, got)
			}
			if got := c.narrow(-mid); got != even|0x8000 {
				t.Fatalf("%v: sign lost at %#04x", c.d, h)
			}
		}
	}
}

func TestBeyondRange(t *testing.T) {
	for _, c := range []struct {
		got, want uint16
	}{
		{Float32ToF16(65519.996), 0x7bff}, {Float32ToF16(65520), 0x7c00}, {Float32ToF16(1e30), 0x7c00},
		{Float32ToF16(float32(math.Inf(-1))), 0xfc00}, {Float32ToF16(1e-30), 0}, {Float32ToF16(float32(math.Copysign(0, -1))), 0x8000},
		{Float32ToBF16(math.MaxFloat32), 0x7f80}, {Float32ToBF16(float32(math.Inf(1))), 0x7f80},
	} {
		if c.got != c.want {
			t.Errorf("got %#04x, want %#04x", c.got, c.want)
		}
	}
	nan := math.Float32frombits(0x7f800001) // a payload that lies in the dropped bits only
	if h := Float32ToBF16(nan); BF16ToFloat32(h) == BF16ToFloat32(h) {
		t.Errorf("bf16: NaN became %#04x", h)
	}
}

func TestRowsRoundTrip(t *testing.T) {
	src := []float32{0, 1, -2.5, 0.333251953125, 65504, 1.0 / (1 << 24)}
	for _, d := range []DType{F32, F16} {
		buf, got := make([]byte, d.RowBytes(len(src))), make([]float32, len(src))
		d.Encode(buf, src)
		d.Decode(got, buf)
		for i := range src {
			if got[i] != src[i] {
				t.Errorf("%v[%d]: %v, want %v", d, i, got[i], src[i])
			}
		}
	}
	if d, ok := Parse("BF16"); !ok || d != BF16 || d.RowBytes(3) != 6 || d.String() != "BF16" {
		t.Errorf("Parse(BF16) = %v %v", d, ok)
	}
	if _, ok := Parse("F8_E4M3"); ok {
		t.Error("an unsupported format was parsed")
	}
	if s := DType(0).String(); s != "DType(0)" {
		t.Error(s)
	}
}

// TestEncodeF16LikeOne: rows take a short cut for ordinary numbers, one number
// does not. Stretches of float32 patterns of all magnitudes and both signs.
func TestEncodeF16LikeOne(t *testing.T) {
	const n = 1 << 12
	x, b := make([]float32, n), make([]byte, 2*n)
	for at := uint64(0); at < 1<<32; at += 37 * 2011 * n / 64 {
		for i := range x {
			x[i] = math.Float32frombits(uint32(at + uint64(i)*37))
		}
		F16.Encode(b, x)
		for i, v := range x {
			if want := Float32ToF16(v); uint16(b[2*i])|uint16(b[2*i+1])<<8 != want {
				t.Fatalf("%#08x is %x, want %04x", math.Float32bits(v), b[2*i:2*i+2], want)
			}
		}
	}
}
