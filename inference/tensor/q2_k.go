package tensor

// Q2_K: 256 elements x = d·s·q - dmin·m in 84 bytes; s and m belong to a group
// of 16 elements.
//
//	 0  scales  16 bytes; s (low nibble) and m (high) of a group
//	16  qs      64 bytes, see levels.unpack2
//	80  d       f16
//	82  dmin    f16
var q2_KFormat = format{name: "Q2_K", block: kBlock, blockBytes: 84, scales: []int{80, 82}, decode: decodeQ2_K, encode: encodeQ2_K}

func decodeQ2_K(dst []float32, src []byte) {
	var q levels
	for ; len(dst) > 0; dst, src = dst[kBlock:], src[84:] {
		x, b := (*[kBlock]float32)(dst), (*[84]byte)(src)
		d, dmin := half(b[80:]), half(b[82:])
		q.unpack2(b[16:80])
		for g, sm := range b[:16] {
			scale, m := d*float32(sm&15), dmin*float32(sm>>4)
			for i := 16 * g; i < 16*g+16; i++ {
				x[i] = scale*float32(q[i]) - m
			}
		}
	}
}

var searchQ2_K = affineSearch{top: 3, first: -0.5, steps: 16, absSum: true}

// encodeQ2_K fits each group with weights |x|, then rounds scales and minima to
// 15 steps up to the largest of the block.
func encodeQ2_K(dst []byte, src []float32) {
	var (
		q             levels
		w             [16]float32
		scales, minus [16]float32
	)
	for ; len(src) > 0; dst, src = dst[84:], src[kBlock:] {
		b, x := (*[84]byte)(dst), (*[kBlock]float32)(src)
		if !finiteBlock(x) {
			spoil(b[:], 80)
			continue
		}
		var maxScale, maxMinus float32
		for g := range 16 {
			group := x[16*g:][:16]
			for i, v := range group {
				w[i] = abs32(v)
			}
			scales[g], minus[g] = searchQ2_K.fit(q[16*g:][:16], group, w[:])
			maxScale, maxMinus = max(maxScale, scales[g]), max(maxMinus, minus[g])
		}
		putHalf(b[80:], maxScale/15)
		putHalf(b[82:], maxMinus/15)
		d, dmin := half(b[80:]), half(b[82:])
		for g := range 16 {
			s, m := scaleLevel(scales[g], maxScale, 15), scaleLevel(minus[g], maxMinus, 15)
			b[g] = s | m<<4
			if scale := d * float32(s); scale != 0 {
				requantize(q[16*g:][:16], x[16*g:][:16], scale, dmin*float32(m), 0, 3)
			}
		}
		q.pack2(b[16:80])
	}
}
