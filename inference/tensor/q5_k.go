package tensor

// Q5_K: 256 elements x = d·s·q - dmin·m in 176 bytes; s and m belong to a group
// of 32 elements.
//
//	 0  d       f16
//	 2  dmin    f16
//	 4  scales  12 bytes; s and m of the groups, see scaleMin
//	16  qh      32 bytes; bit 4 of the levels, see levels.unpackBit
//	48  qs      128 bytes; bits 0..3, see levels.unpack4
var q5_KFormat = format{name: "Q5_K", block: kBlock, blockBytes: 176, scales: []int{0, 2}, decode: decodeQ5_K, encode: encodeQ5_K}

func decodeQ5_K(dst []float32, src []byte) {
	var q levels
	for ; len(dst) > 0; dst, src = dst[kBlock:], src[176:] {
		x, b := (*[kBlock]float32)(dst), (*[176]byte)(src)
		q.unpack4(b[48:])
		q.unpackBit(b[16:48], 4)
		decodeGroups(x, &q, b[:16])
	}
}

var searchQ5_K = affineSearch{top: 31, first: -0.5, steps: 16}

func encodeQ5_K(dst []byte, src []float32) {
	var q levels
	for ; len(src) > 0; dst, src = dst[176:], src[kBlock:] {
		b, x := (*[176]byte)(dst), (*[kBlock]float32)(src)
		if !finiteBlock(x) {
			spoil(b[:], 0)
			continue
		}
		encodeGroups(b[:16], &q, x, &searchQ5_K)
		q.packBit(b[16:48], 4)
		q.pack4(b[48:])
	}
}
