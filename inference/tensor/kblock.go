package tensor

import (
	"encoding/binary"
	"math"
)

// What the K formats share: blocks of 256 elements, in groups of 16 or 32 that
// have a scale each, which is an integer itself and is multiplied with the
// block's f16 scale.

const kBlock = 256

// levels are the integers of one block's elements, in the order of the elements.
type levels [kBlock]uint8

// unpack2 and pack2 are the layout of 2-bit levels in 64 bytes: of the elements
// of half h, bits 2j and 2j+1 of byte 32h+l belong to element 128h+32j+l.
func (q *levels) unpack2(b []byte) {
	for h := range 2 {
		for l, v := range (*[32]byte)(b[32*h:]) {
			at := q[128*h+l:][:97]
			at[0], at[32], at[64], at[96] = v&3, v>>2&3, v>>4&3, v>>6
		}
	}
}

func (q *levels) pack2(b []byte) {
	for h := range 2 {
		out := (*[32]byte)(b[32*h:])
		for l := range out {
			at := q[128*h+l:][:97]
			out[l] = at[0]&3 | at[32]&3<<2 | at[64]&3<<4 | at[96]<<6
		}
	}
}

// unpack4 and pack4 are the layout of 4-bit levels in 128 bytes: byte 32g+l
// holds element 64g+l (low nibble) and 64g+32+l (high).
func (q *levels) unpack4(b []byte) {
	for g := range 4 {
		for l, v := range (*[32]byte)(b[32*g:]) {
			at := q[64*g+l:][:33]
			at[0], at[32] = v&15, v>>4
		}
	}
}

func (q *levels) pack4(b []byte) {
	for g := range 4 {
		out := (*[32]byte)(b[32*g:])
		for l := range out {
			at := q[64*g+l:][:33]
			out[l] = at[0]&15 | at[32]<<4
		}
	}
}

// unpackBit and packBit are the layout of one more bit per level in 32 bytes:
// bit k of byte l belongs to element 32k+l and is bit pos of its level.
func (q *levels) unpackBit(b []byte, pos uint) {
	for k := range 8 {
		at := (*[32]uint8)(q[32*k:])
		for l, v := range (*[32]byte)(b) {
			at[l] |= v >> k & 1 << pos
		}
	}
}

func (q *levels) packBit(b []byte, pos uint) {
	out := (*[32]byte)(b)
	clear(out[:])
	for k := range 8 {
		for l, v := range (*[32]uint8)(q[32*k:]) {
			out[l] |= v >> pos & 1 << k
		}
	}
}

// scaleMin returns scale and minimum, 6 bits each, of group j of 8 from the 12
// bytes in which Q4_K and Q5_K pack them:
//
//	j < 4:  scale is bits 0..5 of byte j, the minimum those of byte j+4
//	j >= 4: byte j+4 has their low 4 bits, scale first; the upper 2 are bits
//	        6..7 of byte j-4 (scale) and j (minimum)
func scaleMin(b []byte, j int) (scale, low uint8) {
	if j < 4 {
		return b[j] & 63, b[j+4] & 63
	}
	return b[j+4]&15 | b[j-4]>>6<<4, b[j+4]>>4 | b[j]>>6<<4
}

// putScaleMin is the inverse of scaleMin for groups in ascending order.
func putScaleMin(b []byte, j int, scale, low uint8) {
	if j < 4 {
		b[j], b[j+4] = scale, low
		return
	}
	b[j+4] = scale&15 | low<<4
	b[j-4] |= scale >> 4 << 6
	b[j] |= low >> 4 << 6
}

func half(b []byte) float32 { return F16ToFloat32(binary.LittleEndian.Uint16(b)) }

func putHalf(b []byte, x float32) { binary.LittleEndian.PutUint16(b, Float32ToF16(x)) }

// finiteBlock reports whether no element is NaN or infinite.
func finiteBlock(x *[kBlock]float32) bool {
	var most uint32
	for _, v := range x {
		most = max(most, math.Float32bits(v)&^signBit)
	}
	return most < infBits
}

// nearest rounds to the nearest integer, ties to even. It holds for |x| < 2²²;
// beyond it the result is near x all the same, and callers clamp.
func nearest(x float32) float32 {
	const magic = 3 << 22               // from here to 2²⁴ a float32 has no fraction
	return (float32(x) + magic) - magic // the conversion: x may be a product
}

func clamp(x, lo, hi float32) float32 {
	if x < lo {
		return lo
	}
	if x > hi {
		return hi
	}
	return x
}

// requantize chooses the levels of one group again, for the scale d and the
// minimum -m that the block has room for: nearest of (x+m)/d, counted from
// bottom. d is not 0.
func requantize(q []uint8, x []float32, d, m, bottom, top float32) {
	for i, v := range x {
		q[i] = uint8(int32(clamp(nearest((v+m)/d), bottom, top) - bottom))
	}
}
