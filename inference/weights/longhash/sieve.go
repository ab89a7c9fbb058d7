package longhash

import (
	"encoding/binary"
	"slices"
)

// Sieve finds words of 16 bits that have all bits of a mask, among those of a format
// whose words repeat: exponents that are full, of numbers or of the scales of blocks.
type Sieve struct {
	ring []byte // a mask for each line of data, from its beginning; a block more than they repeat after
	wrap int    // bytes that they repeat after
	full uint16
}

const (
	line     = 64
	mostRing = 8 << 10 // bytes that masks may repeat after: they stay in L1
)

// NewSieve looks at the words that begin at `words` of each stretch of period bytes, the
// first of which begins at byte `at` of the data, or would if they went on before it. It
// returns nil where it is of no use: on this host, or for words that do not begin at even
// bytes of the data.
func NewSieve(at int64, period int, words []int, mask uint16) *Sieve {
	wrap := period / min(period&-period, line) * line // the least common multiple
	if !hashesBlocks || wrap > mostRing || period%2 != 0 {
		return nil
	}
	s := &Sieve{ring: make([]byte, wrap+Block), wrap: wrap, full: mask}
	for _, w := range words {
		if (at+int64(w))%2 != 0 {
			return nil
		}
		for p := int((at + int64(w)) % int64(period)); p < len(s.ring); p += period {
			binary.LittleEndian.PutUint16(s.ring[p:], mask)
		}
	}
	return s
}

// nothing is looked at.
var nothing = &Sieve{ring: make([]byte, line+Block), wrap: line}

// masks is where hashBlocks finds them, for both streams, and leaves what it has found.
type masks struct {
	first, second *byte
	step          int // bytes from one block's to the next one's, as far as the ring goes
	end           *byte
	wrap          int
	most          [line]byte // the largest of each lane
}

// Sieved is Blocks for whole blocks before the last one of data, and tells whether s has
// found a word: somewhere in data[from:to].
func (h *Hash) Sieved(sums []Sum, from, to int, s *Sieve) ([]Sum, bool) {
	n := (to - from) / Block
	if n <= 0 {
		return sums, false
	}
	sums = slices.Grow(sums, n)[:len(sums)+n]
	m := masks{
		first: &s.ring[from%s.wrap], second: &s.ring[(from+n/2*Block)%s.wrap],
		step: Block % s.wrap, end: &s.ring[s.wrap], wrap: s.wrap,
	}
	hashBlocks(&sums[len(sums)-n], &h.data[from], n, &hashSecret, &m)
	for i := 0; i < line; i += 2 {
		if binary.LittleEndian.Uint16(m.most[i:]) == s.full {
			return sums, true
		}
	}
	return sums, false
}

// Whole is where the last block of data begins, or the data that is whole blocks ends.
func (h *Hash) Whole() int { return h.whole() * Block }
