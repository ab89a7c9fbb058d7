package tensor

import (
	"encoding/binary"
	"math"
)

// What the blocked formats share. Products that an addition follows are written
// float32(a*b)+c in all of Encode: the conversion forbids the compiler to fuse
// the two, so that every processor makes the same bytes.

const (
	signBit = 1 << 31
	infBits = 0x7f800000
	nanF16  = 0x7e00
)

// spoil makes a block whose source has a NaN or an infinity decode to NaN
// throughout: a damaged weight must be found later, not become a number. at is
// where the block has its scale.
func spoil(b []byte, at int) {
	clear(b)
	binary.LittleEndian.PutUint16(b[at:], nanF16)
}

func abs32(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ signBit) }

// inverse returns 1/d, and 0 where that is no number. There d is too small for
// an f16 anyway and the block decodes to zeros.
func inverse(d float32) float32 {
	inv := 1 / d
	if math.Float32bits(inv)&^signBit == infBits {
		return 0
	}
	return inv
}

// peak32 returns the first element of the largest magnitude, with its sign, and
// whether all are finite.
func peak32(x *[32]float32) (peak float32, finite bool) {
	var most, bits uint32
	for _, v := range x {
		b := math.Float32bits(v)
		if abs := b &^ signBit; abs > most { // magnitudes are ordered like their bits, NaN last
			most, bits = abs, b
		}
	}
	return math.Float32frombits(bits), most < infBits
}

// range32 returns the smallest and the largest element and whether all are
// finite.
func range32(x *[32]float32) (lo, hi float32, finite bool) {
	lo, hi = x[0], x[0]
	var most uint32
	for _, v := range x {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
		most = max(most, math.Float32bits(v)&^signBit)
	}
	return lo, hi, most < infBits
}
