package tensor

import (
	"encoding/binary"
	"math"
)

// Q8_0: 32 elements x = d·q in 34 bytes.
//
//	0  d   f16
//	2  qs  32 int8
var q8_0Format = format{name: "Q8_0", block: 32, blockBytes: 34, scales: []int{0}, decode: decodeQ8_0, encode: encodeQ8_0}

func decodeQ8_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[34:] {
		x, b := (*[32]float32)(dst), (*[34]byte)(src)
		d := F16ToFloat32(binary.LittleEndian.Uint16(b[:]))
		for j, q := range b[2:] {
			x[j] = d * float32(int8(q))
		}
	}
}

// encodeQ8_0 lets the largest magnitude be level ±127; -128 is not used.
// Levels are x/d rounded to nearest, ties away from zero.
func encodeQ8_0(dst []byte, src []float32) {
	for ; len(src) > 0; dst, src = dst[34:], src[32:] {
		b, x := (*[34]byte)(dst), (*[32]float32)(src)
		peak, finite := peak32(x)
		if !finite {
			spoil(b[:], 0)
			continue
		}
		d := abs32(peak) / 127
		binary.LittleEndian.PutUint16(b[:], Float32ToF16(d))
		inv := inverse(d)
		for j, v := range x {
			v *= inv
			// In float64 the addition is exact: 0.49999997 must not become 1.
			half := math.Float32frombits(math.Float32bits(v)&signBit | 0x3f000000)
			b[2+j] = byte(int32(float64(v) + float64(half)))
		}
	}
}
