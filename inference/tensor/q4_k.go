package tensor

// Q4_K: 256 elements x = d·s·q - dmin·m in 144 bytes; s and m belong to a group
// of 32 elements.
//
//	 0  d       f16
//	 2  dmin    f16
//	 4  scales  12 bytes; s and m of the groups, see scaleMin
//	16  qs      128 bytes, see levels.unpack4
var q4_KFormat = format{name: "Q4_K", block: kBlock, blockBytes: 144, scales: []int{0, 2}, decode: decodeQ4_K, encode: encodeQ4_K}

func decodeQ4_K(dst []float32, src []byte) {
	var q levels
	for ; len(dst) > 0; dst, src = dst[kBlock:], src[144:] {
		x, b := (*[kBlock]float32)(dst), (*[144]byte)(src)
		q.unpack4(b[16:])
		decodeGroups(x, &q, b[:16])
	}
}

// decodeGroups is the arithmetic that Q4_K and Q5_K share; head is their first
// 16 bytes.
func decodeGroups(x *[kBlock]float32, q *levels, head []byte) {
	d, dmin := half(head), half(head[2:])
	for g := range 8 {
		s, m := scaleMin(head[4:16], g)
		scale, minus := d*float32(s), dmin*float32(m)
		for i := 32 * g; i < 32*g+32; i++ {
			x[i] = scale*float32(q[i]) - minus
		}
	}
}

var searchQ4_K = affineSearch{top: 15, first: -1, steps: 21}

func encodeQ4_K(dst []byte, src []float32) {
	var q levels
	for ; len(src) > 0; dst, src = dst[144:], src[kBlock:] {
		b, x := (*[144]byte)(dst), (*[kBlock]float32)(src)
		if !finiteBlock(x) {
			spoil(b[:], 0)
			continue
		}
		encodeGroups(b[:16], &q, x, &searchQ4_K)
		q.pack4(b[16:])
	}
}

// encodeGroups fits each group with weights |x| + its root mean square, then
// rounds scales and minima to 63 steps up to the largest of the block. It writes
// the first 16 bytes of a block and the levels.
func encodeGroups(head []byte, q *levels, x *[kBlock]float32, s *affineSearch) {
	var (
		w                  [32]float32
		scales, minus      [8]float32
		maxScale, maxMinus float32
	)
	for g := range 8 {
		group := x[32*g:][:32]
		typical := rootMeanSquare(group)
		for i, v := range group {
			w[i] = typical + abs32(v)
		}
		scales[g], minus[g] = s.fit(q[32*g:][:32], group, w[:])
		maxScale, maxMinus = max(maxScale, scales[g]), max(maxMinus, minus[g])
	}
	putHalf(head, maxScale/63)
	putHalf(head[2:], maxMinus/63)
	d, dmin := half(head), half(head[2:])
	for g := range 8 {
		sc, m := scaleLevel(scales[g], maxScale, 63), scaleLevel(minus[g], maxMinus, 63)
		putScaleMin(head[4:16], g, sc, m)
		if scale := d * float32(sc); scale != 0 {
			requantize(q[32*g:][:32], x[32*g:][:32], scale, dmin*float32(m), 0, s.top)
		}
	}
}

// scaleLevel rounds a group's scale or minimum to top steps up to the largest
// of its block.
func scaleLevel(x, largest, top float32) uint8 {
	if !(largest > 0) {
		return 0
	}
	return uint8(int32(clamp(nearest(top/largest*x), 0, top)))
}
