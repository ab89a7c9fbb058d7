package tensor

import (
	"encoding/binary"
	"math"
)

var f16Format = format{name: "F16", block: 1, blockBytes: 2, decode: decodeF16, encode: encodeF16}

func decodeF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = F16ToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

func encodeF16(dst []byte, src []float32) {
	for i, x := range src {
		b := math.Float32bits(x)
		h, abs := uint16(b>>16&0x8000), b&0x7fffffff
		if abs-0x38800000 < 0x477ff000-0x38800000 { // normal, and stays so: nearly all are
			h |= uint16((abs + 0xfff + abs>>13&1 - 0x38000000) >> 13)
		} else {
			h = Float32ToF16(x)
		}
		binary.LittleEndian.PutUint16(dst[2*i:], h)
	}
}

// F16ToFloat32 widens a binary16; it is exact, subnormals included.
func F16ToFloat32(h uint16) float32 {
	sign, exp, frac := uint32(h&0x8000)<<16, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0x1f: // infinity or NaN
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case 0: // zero or subnormal: frac · 2⁻²⁴
		f := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(f))
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// Float32ToF16 rounds to nearest even; what is beyond the range becomes an
// infinity, what is below it a subnormal or zero.
func Float32ToF16(x float32) uint16 {
	b := math.Float32bits(x)
	sign, abs := uint16(b>>16&0x8000), b&0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00
	case abs >= 0x477ff000: // 65520 and more round to infinity
		return sign | 0x7c00
	case abs < 0x38800000: // below 2⁻¹⁴: the unit is 2⁻²⁴
		// From 0.5 on that is the unit of a float32: the addition rounds.
		f := math.Float32frombits(abs) + 0.5
		return sign | uint16(math.Float32bits(f)-0x3f000000)
	}
	abs += 0xfff + abs>>13&1
	return sign | uint16((abs-0x38000000)>>13)
}
