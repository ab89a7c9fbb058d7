package tensor

// Q3_K: 256 elements x = d·(s-32)·(q-4) in 110 bytes; s belongs to a group of 16
// elements.
//
//	  0  hmask   32 bytes; bit 2 of the levels, see levels.unpackBit
//	 32  qs      64 bytes; bits 0..1, see levels.unpack2
//	 96  scales  12 bytes; 6 bits for each group, see scaleQ3_K
//	108  d       f16
var q3_KFormat = format{name: "Q3_K", block: kBlock, blockBytes: 110, scales: []int{108}, decode: decodeQ3_K, encode: encodeQ3_K}

// scaleQ3_K returns s of group g: its low 4 bits are a nibble of bytes 0..7, low
// nibbles first, its upper 2 are bits 2(g/4) and 2(g/4)+1 of byte 8+g%4.
func scaleQ3_K(b []byte, g int) uint8 {
	return b[g&7]>>(g>>3*4)&15 | b[8+g&3]>>(g>>2*2)&3<<4
}

// putScaleQ3_K sets what scaleQ3_K reads, in bytes that were zero.
func putScaleQ3_K(b []byte, g int, s uint8) {
	b[g&7] |= s & 15 << (g >> 3 * 4)
	b[8+g&3] |= s >> 4 << (g >> 2 * 2)
}

func decodeQ3_K(dst []float32, src []byte) {
	var q levels
	for ; len(dst) > 0; dst, src = dst[kBlock:], src[110:] {
		x, b := (*[kBlock]float32)(dst), (*[110]byte)(src)
		d := half(b[108:])
		q.unpack2(b[32:96])
		q.unpackBit(b[:32], 2)
		for g := range 16 {
			scale := d * float32(int(scaleQ3_K(b[96:108], g))-32)
			for i := 16 * g; i < 16*g+16; i++ {
				x[i] = scale * float32(int(q[i])-4)
			}
		}
	}
}

// encodeQ3_K fits each group, then rounds the scales such that the largest is
// level 0.
func encodeQ3_K(dst []byte, src []float32) {
	var (
		q      levels
		scales [16]float32
	)
	for ; len(src) > 0; dst, src = dst[110:], src[kBlock:] {
		b, x := (*[110]byte)(dst), (*[kBlock]float32)(src)
		if !finiteBlock(x) {
			spoil(b[:], 108)
			continue
		}
		for g := range 16 {
			scales[g] = fitDescent(q[16*g:][:16], x[16*g:][:16], 4)
		}
		clear(b[96:])
		if most := peakOf(scales[:]); most != 0 {
			inv := -32 / most
			putHalf(b[108:], 1/inv)
			d := half(b[108:])
			for g := range 16 {
				s := clamp(nearest(inv*scales[g]), -32, 31)
				putScaleQ3_K(b[96:108], g, uint8(int32(s)+32))
				if scale := d * s; scale != 0 {
					requantize(q[16*g:][:16], x[16*g:][:16], scale, 0, -4, 3)
				}
			}
		}
		q.packBit(b[:32], 2)
		q.pack2(b[32:96])
	}
}
