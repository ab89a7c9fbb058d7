package tensor

import "encoding/binary"

// Q4_0: 32 elements x = d·(q-8) in 18 bytes.
//
//	0  d   f16
//	2  qs  16 bytes; byte j holds element j (low nibble) and j+16 (high)
var q4_0Format = format{name: "Q4_0", block: 32, blockBytes: 18, scales: []int{0}, decode: decodeQ4_0, encode: encodeQ4_0}

func decodeQ4_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[18:] {
		x, b := (*[32]float32)(dst), (*[18]byte)(src)
		d := F16ToFloat32(binary.LittleEndian.Uint16(b[:]))
		for j, q := range b[2:] {
			x[j] = d * float32(int(q&15)-8)
			x[j+16] = d * float32(int(q>>4)-8)
		}
	}
}

// encodeQ4_0 lets the element of the largest magnitude be level 0, which is the
// one level without a partner of the other sign, so that it is met exactly
// whatever its sign. Levels are x/d + 8.5 truncated.
func encodeQ4_0(dst []byte, src []float32) {
	for ; len(src) > 0; dst, src = dst[18:], src[32:] {
		b, x := (*[18]byte)(dst), (*[32]float32)(src)
		peak, finite := peak32(x)
		if !finite {
			spoil(b[:], 0)
			continue
		}
		d := peak / -8
		binary.LittleEndian.PutUint16(b[:], Float32ToF16(d))
		inv := inverse(d)
		for j := range 16 {
			lo := min(15, int32(float32(x[j]*inv)+8.5))
			hi := min(15, int32(float32(x[j+16]*inv)+8.5))
			b[2+j] = byte(lo | hi<<4)
		}
	}
}
