package tensor

import "encoding/binary"

// Q5_0: 32 elements x = d·(q-16) in 22 bytes.
//
//	0  d   f16
//	2  qh  uint32; bit j is bit 4 of element j
//	6  qs  16 bytes; byte j holds bits 0..3 of element j (low nibble) and j+16 (high)
var q5_0Format = format{name: "Q5_0", block: 32, blockBytes: 22, scales: []int{0}, decode: decodeQ5_0, encode: encodeQ5_0}

func decodeQ5_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[22:] {
		x, b := (*[32]float32)(dst), (*[22]byte)(src)
		d := F16ToFloat32(binary.LittleEndian.Uint16(b[:]))
		qh := binary.LittleEndian.Uint32(b[2:])
		for j, q := range b[6:] {
			x[j] = d * float32(int(uint32(q&15)|qh>>j&1<<4)-16)
			x[j+16] = d * float32(int(uint32(q>>4)|qh>>(j+16)&1<<4)-16)
		}
	}
}

// encodeQ5_0 meets the element of the largest magnitude exactly, as encodeQ4_0
// does. Levels are x/d + 16.5 truncated.
func encodeQ5_0(dst []byte, src []float32) {
	for ; len(src) > 0; dst, src = dst[22:], src[32:] {
		b, x := (*[22]byte)(dst), (*[32]float32)(src)
		peak, finite := peak32(x)
		if !finite {
			spoil(b[:], 0)
			continue
		}
		d := peak / -16
		binary.LittleEndian.PutUint16(b[:], Float32ToF16(d))
		inv, qh := inverse(d), uint32(0)
		for j := range 16 {
			q0 := uint32(min(31, int32(float32(x[j]*inv)+16.5)))
			q1 := uint32(min(31, int32(float32(x[j+16]*inv)+16.5)))
			b[6+j] = byte(q0&15 | q1<<4)
			qh |= q0>>4<<j | q1>>4<<(j+16)
		}
		binary.LittleEndian.PutUint32(b[2:], qh)
	}
}
