package tensor

import (
	"encoding/binary"
	"math"
)

var bf16Format = format{name: "BF16", block: 1, blockBytes: 2, decode: decodeBF16, encode: encodeBF16}

func decodeBF16(dst []float32, src []byte) {
	for ; len(dst) >= 4; dst, src = dst[4:], src[8:] { // one load for four
		x, b := (*[4]float32)(dst), binary.LittleEndian.Uint64(src)
		x[0] = math.Float32frombits(uint32(b) << 16)
		x[1] = math.Float32frombits(uint32(b) &^ 0xffff)
		x[2] = math.Float32frombits(uint32(b>>32) << 16)
		x[3] = math.Float32frombits(uint32(b>>32) &^ 0xffff)
	}
	for i := range dst {
		dst[i] = BF16ToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

func encodeBF16(dst []byte, src []float32) {
	for i, x := range src {
		binary.LittleEndian.PutUint16(dst[2*i:], Float32ToBF16(x))
	}
}

// BF16ToFloat32 widens a bfloat16; it is exact.
func BF16ToFloat32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// Float32ToBF16 rounds to nearest even. A NaN stays a NaN: its lowest kept bit
// is set so that the payload cannot round away to infinity.
func Float32ToBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
