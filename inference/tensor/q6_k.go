package tensor

// Q6_K: 256 elements x = d·s·(q-32) in 210 bytes; s belongs to a group of 16
// elements.
//
//	  0  ql      128 bytes; bits 0..3, see unpackQ6_K
//	128  qh      64 bytes; bits 4..5, see levels.unpack2
//	192  scales  16 int8
//	208  d       f16
var q6_KFormat = format{name: "Q6_K", block: kBlock, blockBytes: 210, scales: []int{208}, decode: decodeQ6_K, encode: encodeQ6_K}

// unpackQ6_K gathers the levels of a block. Of half h, byte 64h+l of ql, l < 64,
// holds the low bits of element 128h+l (low nibble) and 128h+64+l (high).
func unpackQ6_K(q *levels, b *[210]byte) {
	q.unpack2(b[128:192])
	for h := range 2 {
		for l, v := range (*[64]byte)(b[64*h:]) {
			at := q[128*h+l:][:65]
			at[0], at[64] = at[0]<<4|v&15, at[64]<<4|v>>4
		}
	}
}

// packQ6_K is the inverse of unpackQ6_K.
func packQ6_K(b *[210]byte, q *levels) {
	var high levels
	for i, v := range q {
		high[i] = v >> 4
	}
	high.pack2(b[128:192])
	for h := range 2 {
		out := (*[64]byte)(b[64*h:])
		for l := range out {
			at := q[128*h+l:][:65]
			out[l] = at[0]&15 | at[64]<<4
		}
	}
}

func decodeQ6_K(dst []float32, src []byte) {
	var q levels
	for ; len(dst) > 0; dst, src = dst[kBlock:], src[210:] {
		x, b := (*[kBlock]float32)(dst), (*[210]byte)(src)
		d := half(b[208:])
		unpackQ6_K(&q, b)
		for g, s := range b[192:208] {
			scale := d * float32(int8(s))
			for i := 16 * g; i < 16*g+16; i++ {
				x[i] = scale * float32(int(q[i])-32)
			}
		}
	}
}

// encodeQ6_K fits each group, then rounds the scales such that the largest is
// level -128.
func encodeQ6_K(dst []byte, src []float32) {
	var (
		q      levels
		scales [16]float32
	)
	for ; len(src) > 0; dst, src = dst[210:], src[kBlock:] {
		b, x := (*[210]byte)(dst), (*[kBlock]float32)(src)
		if !finiteBlock(x) {
			spoil(b[:], 208)
			continue
		}
		for g := range 16 {
			scales[g] = fitSymmetric(q[16*g:][:16], x[16*g:][:16], 32)
		}
		most := peakOf(scales[:])
		if abs32(most) < tiny {
			clear(b[:])
			continue
		}
		inv := -128 / most
		putHalf(b[208:], 1/inv)
		d := half(b[208:])
		for g := range 16 {
			s := clamp(nearest(inv*scales[g]), -128, 127)
			b[192+g] = byte(int8(s))
			if scale := d * s; scale != 0 {
				requantize(q[16*g:][:16], x[16*g:][:16], scale, 0, -32, 31)
			}
		}
		packQ6_K(b, &q)
	}
}
