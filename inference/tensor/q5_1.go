package tensor

import "encoding/binary"

// Q5_1: 32 elements x = d·q + m in 24 bytes.
//
//	0  d   f16
//	2  m   f16
//	4  qh  uint32; bit j is bit 4 of element j
//	8  qs  16 bytes; byte j holds bits 0..3 of element j (low nibble) and j+16 (high)
var q5_1Format = format{name: "Q5_1", block: 32, blockBytes: 24, scales: []int{0, 2}, decode: decodeQ5_1, encode: encodeQ5_1}

func decodeQ5_1(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[24:] {
		x, b := (*[32]float32)(dst), (*[24]byte)(src)
		d := F16ToFloat32(binary.LittleEndian.Uint16(b[:]))
		m := F16ToFloat32(binary.LittleEndian.Uint16(b[2:]))
		qh := binary.LittleEndian.Uint32(b[4:])
		for j, q := range b[8:] {
			x[j] = d*float32(uint32(q&15)|qh>>j&1<<4) + m
			x[j+16] = d*float32(uint32(q>>4)|qh>>(j+16)&1<<4) + m
		}
	}
}

// encodeQ5_1 spreads the 32 levels evenly from the smallest element to the
// largest.
func encodeQ5_1(dst []byte, src []float32) {
	for ; len(src) > 0; dst, src = dst[24:], src[32:] {
		b, x := (*[24]byte)(dst), (*[32]float32)(src)
		lo, hi, finite := range32(x)
		if !finite {
			spoil(b[:], 0)
			continue
		}
		d := (hi - lo) / 31
		binary.LittleEndian.PutUint16(b[:], Float32ToF16(d))
		binary.LittleEndian.PutUint16(b[2:], Float32ToF16(lo))
		inv, qh := inverse(d), uint32(0)
		for j := range 16 {
			q0 := uint32(min(31, int32(float32((x[j]-lo)*inv)+0.5)))
			q1 := uint32(min(31, int32(float32((x[j+16]-lo)*inv)+0.5)))
			b[8+j] = byte(q0&15 | q1<<4)
			qh |= q0>>4<<j | q1>>4<<(j+16)
		}
		binary.LittleEndian.PutUint32(b[4:], qh)
	}
}
