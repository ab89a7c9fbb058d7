package sample

import "math/bits"

// philox returns four words of Philox4x32-10 (Salmon, Moraes, Dror, Shaw:
// "Parallel random numbers: as easy as 1, 2, 3", 2011) for a counter and a key.
func philox(ctr [4]uint32, key [2]uint32) [4]uint32 {
	for range 10 {
		h0, l0 := mul(0xd2511f53, ctr[0])
		h1, l1 := mul(0xcd9e8d57, ctr[2])
		ctr = [4]uint32{h1 ^ ctr[1] ^ key[0], l1, h0 ^ ctr[3] ^ key[1], l0}
		key[0] += 0x9e3779b9
		key[1] += 0xbb67ae85
	}
	return ctr
}

func mul(a, b uint32) (hi, lo uint32) { return bits.Mul32(a, b) }

// draw gives the random word of every id at one position of one request.
type draw struct {
	key   [2]uint32
	pos   [2]uint32
	block uint32 // words holds ids [4·block, 4·block+4)
	words [4]uint32
	have  bool
}

func newDraw(p *Params) draw {
	return draw{
		key: [2]uint32{uint32(p.Seed), uint32(p.Seed >> 32)},
		pos: [2]uint32{uint32(p.Position), uint32(p.Position >> 32)},
	}
}

// word is the draw of id: counter (id/4, position, 0), word id mod 4.
func (d *draw) word(id int32) uint32 {
	if block := uint32(id) >> 2; !d.have || block != d.block {
		d.words = philox([4]uint32{block, d.pos[0], d.pos[1], 0}, d.key)
		d.block, d.have = block, true
	}
	return d.words[id&3]
}
