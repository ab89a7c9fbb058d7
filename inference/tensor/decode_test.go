package tensor

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

var blocked = []DType{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K}

// f16 is the definition of a binary16 in float64.
func f16(b []byte) float64 {
	h := binary.LittleEndian.Uint16(b)
	s, e, f := float64(1-2*int(h>>15)), int(h>>10&31), float64(h&1023)
	switch {
	case e == 31 && f != 0:
		return math.NaN()
	case e == 31:
		return s * math.Inf(1)
	case e == 0:
		return s * math.Ldexp(f, -24)
	}
	return s * math.Ldexp(1024+f, e-25)
}

// bits returns n bits of b from bit position at, as the formats count them:
// from the lowest bit of the first byte.
func bits(b []byte, at, n int) (v int) {
	for i := range n {
		v |= int(b[(at+i)/8]>>((at+i)%8)&1) << i
	}
	return v
}

// element is the published definition of element i of a block, one element at a
// time and with every field addressed by the position of its bits.
func element(d DType, b []byte, i int) float64 {
	nibble := func(at int) float64 { return float64(bits(b, 8*(at+i%16)+i/16*4, 4)) }
	half, l := i/128, i%32 // of the 256-element formats
	plane2 := func(at int) int { return bits(b, 8*(at+32*half+l)+i%128/32*2, 2) }
	nibbles64 := func(at int) int { return bits(b, 8*(at+i/64*32+l)+i%64/32*4, 4) }
	bit := func(at int) int { return bits(b, 8*(at+l)+i/32, 1) }
	switch d {
	case Q4_0:
		return f16(b) * (nibble(2) - 8)
	case Q4_1:
		return f16(b)*nibble(4) + f16(b[2:])
	case Q5_0:
		return f16(b) * (nibble(6) + 16*float64(bits(b, 16+i, 1)) - 16)
	case Q5_1:
		return f16(b)*(nibble(8)+16*float64(bits(b, 32+i, 1))) + f16(b[2:])
	case Q8_0:
		return f16(b) * float64(int8(b[2+i]))
	case Q2_K:
		sm := int(b[i/16])
		return f16(b[80:])*float64(sm%16*plane2(16)) - f16(b[82:])*float64(sm/16)
	case Q3_K:
		g := i / 16
		s := bits(b, 8*(96+g%8)+g/8*4, 4) + 16*bits(b, 8*(104+g%4)+g/4*2, 2) - 32
		return f16(b[108:]) * float64(s*(plane2(32)+4*bit(0)-4))
	case Q4_K, Q5_K:
		s, m := scaleMinByBits(b[4:16], i/32)
		q := 0
		if d == Q4_K {
			q = nibbles64(16)
		} else {
			q = nibbles64(48) + 16*bit(16)
		}
		return f16(b)*float64(s*q) - f16(b[2:])*float64(m)
	case Q6_K:
		q := bits(b, 8*(64*half+i%64)+i%128/64*4, 4) + 16*plane2(128) - 32
		return f16(b[208:]) * float64(int(int8(b[192+i/16]))*q)
	}
	panic(d)
}

func scaleMinByBits(b []byte, j int) (s, m int) {
	if j < 4 {
		return bits(b, 8*j, 6), bits(b, 8*(j+4), 6)
	}
	return bits(b, 8*(j+4), 4) + 16*bits(b, 8*(j-4)+6, 2), bits(b, 8*(j+4)+4, 4) + 16*bits(b, 8*j+6, 2)
}

// scaleAt are the byte positions of a block's f16 fields.
func scaleAt(d DType) []int {
	switch d {
	case Q4_1, Q5_1, Q4_K, Q5_K:
		return []int{0, 2}
	case Q2_K:
		return []int{80, 82}
	case Q3_K:
		return []int{108}
	case Q6_K:
		return []int{208}
	}
	return []int{0}
}

// checkDecode compares a row with the definition. The products of all formats
// fit a float32, and their sum a float64, so that the only rounding is that of
// the result and there is no tolerance.
func checkDecode(t *testing.T, d DType, row []byte) {
	t.Helper()
	got := make([]float32, len(row)/d.BlockBytes()*d.Block())
	d.Decode(got, row)
	for i, v := range got {
		b := row[i/d.Block()*d.BlockBytes():][:d.BlockBytes()]
		want := element(d, b, i%d.Block())
		if float64(v) != float64(float32(want)) && !(math.IsNaN(want) && v != v) {
			t.Fatalf("%v element %d: %v, want %v\nblock %x", d, i, v, want, b)
		}
	}
}

// TestDecodeAgainstDefinition decodes blocks of random bits with the scales that
// matter: normal, largest, subnormal, both zeros, infinite, NaN, negative.
func TestDecodeAgainstDefinition(t *testing.T) {
	scales := []uint16{0x2c66, 0x7bff, 0x0001, 0x03ff, 0x0400, 0x0000, 0x8000, 0x7c00, 0xfc00, 0x7e00, 0xbc00, 0x8001}
	r := rand.New(rand.NewPCG(5, 1))
	for _, d := range blocked {
		fields := scaleAt(d)
		row := make([]byte, 4*d.BlockBytes())
		for _, first := range scales {
			for _, last := range scales {
				for i := range row {
					row[i] = byte(r.Uint32())
				}
				for b := 0; b < len(row); b += d.BlockBytes() {
					binary.LittleEndian.PutUint16(row[b+fields[0]:], first)
					binary.LittleEndian.PutUint16(row[b+fields[len(fields)-1]:], last)
				}
				checkDecode(t, d, row)
			}
		}
	}
}

// TestDecodeEveryByte puts each value into each byte of a block whose other
// bytes are all clear or all set.
func TestDecodeEveryByte(t *testing.T) {
	for _, d := range blocked {
		b := make([]byte, d.BlockBytes())
		for _, rest := range []byte{0, 0xff} {
			for at := range b {
				for v := range 256 {
					for i := range b {
						b[i] = rest
					}
					for _, f := range scaleAt(d) {
						binary.LittleEndian.PutUint16(b[f:], 0x3555)
					}
					b[at] = byte(v)
					if d.Block() > 32 && v&(v-1) != 0 && v != 0xff {
						continue // single bits are enough where a block is long
					}
					checkDecode(t, d, b)
				}
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for i := range blocked {
		f.Add(uint8(i), []byte("\x00\x3c\x12\x34\x56\x78\x9a\xbc\xde\xf0"))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		d := blocked[int(which)%len(blocked)]
		row := make([]byte, max(1, min(2, len(data)/d.BlockBytes()))*d.BlockBytes())
		copy(row, data)
		checkDecode(t, d, row)
		x := make([]float32, len(row)/d.BlockBytes()*d.Block())
		d.Decode(x, row)
		for i := 0; i < len(x); i += d.Block() {
			finite := true
			for _, at := range scaleAt(d) {
				s := f16(row[i/d.Block()*d.BlockBytes()+at:])
				finite = finite && !math.IsNaN(s) && !math.IsInf(s, 0)
			}
			for _, v := range x[i : i+d.Block()] {
				if finite && (v != v || v-v != 0) {
					t.Fatalf("%v: finite scales, but %v", d, v)
				}
			}
		}
		d.Encode(row, x) // whatever was decoded can be encoded
	})
}

// TestDecodeBF16 decodes all numbers, in rows of every length around the step of
// the decoder, at odd addresses too.
func TestDecodeBF16(t *testing.T) {
	src := make([]byte, 1+2*65536)
	for i := range 65536 {
		binary.LittleEndian.PutUint16(src[1+2*i:], uint16(i))
	}
	for at, n := 0, 0; at < 65536; at, n = at+n, (n+1)%11 {
		n := min(n, 65536-at)
		x := make([]float32, n+1)
		BF16.Decode(x[:n], src[1+2*at:][:2*n])
		for i, v := range x[:n] {
			if got, want := math.Float32bits(v), uint32(at+i)<<16; got != want {
				t.Fatalf("element %d of %d: %#04x is %#x, want %#x", i, n, at+i, got, want)
			}
		}
		if x[n] != 0 {
			t.Fatalf("a row of %d writes beyond it", n)
		}
	}
}
