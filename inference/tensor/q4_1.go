package tensor

import "encoding/binary"

// Q4_1: 32 elements x = d·q + m in 20 bytes.
//
//	0  d   f16
//	2  m   f16
//	4  qs  16 bytes; byte j holds element j (low nibble) and j+16 (high)
var q4_1Format = format{name: "Q4_1", block: 32, blockBytes: 20, scales: []int{0, 2}, decode: decodeQ4_1, encode: encodeQ4_1}

func decodeQ4_1(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[20:] {
		x, b := (*[32]float32)(dst), (*[20]byte)(src)
		d := F16ToFloat32(binary.LittleEndian.Uint16(b[:]))
		m := F16ToFloat32(binary.LittleEndian.Uint16(b[2:]))
		for j, q := range b[4:] {
			x[j] = d*float32(q&15) + m
			x[j+16] = d*float32(q>>4) + m
		}
	}
}

// encodeQ4_1 spreads the 16 levels evenly from the smallest element to the
// largest.
func encodeQ4_1(dst []byte, src []float32) {
	for ; len(src) > 0; dst, src = dst[20:], src[32:] {
		b, x := (*[20]byte)(dst), (*[32]float32)(src)
		lo, hi, finite := range32(x)
		if !finite {
			spoil(b[:], 0)
			continue
		}
		d := (hi - lo) / 15
		binary.LittleEndian.PutUint16(b[:], Float32ToF16(d))
		binary.LittleEndian.PutUint16(b[2:], Float32ToF16(lo))
		inv := inverse(d)
		for j := range 16 {
			q0 := min(15, int32(float32((x[j]-lo)*inv)+0.5))
			q1 := min(15, int32(float32((x[j+16]-lo)*inv)+0.5))
			b[4+j] = byte(q0 | q1<<4)
		}
	}
}
