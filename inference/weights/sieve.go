package weights

import (
	"sort"

	"llorch/inference/weights/longhash"
)

// sievesOf returns for each tensor what finds exponents that are full while it is hashed,
// nil where there is nothing to find, or no way to do so.
func sievesOf(all []*Tensor) []*longhash.Sieve {
	type like struct {
		format string
		at     int64 // of its period
	}
	made, sieves := map[like]*longhash.Sieve{}, make([]*longhash.Sieve, len(all))
	for i, t := range all {
		period, words, mask := t.exponents()
		if period == 0 {
			continue
		}
		key := like{t.Format, t.Offset % int64(period)}
		s, ok := made[key]
		if !ok {
			s = longhash.NewSieve(t.Offset, period, words, mask)
			made[key] = s
		}
		sieves[i] = s
	}
	return sieves
}

// exponents says where the words are that have the exponents of a tensor, or of its
// scales: in each period of bytes. A period of 0 has none.
func (t *Tensor) exponents() (period int, words []int, mask uint16) {
	if scales := t.Type.Scales(); len(scales) > 0 {
		return t.Type.BlockBytes(), scales, 0x7c00
	}
	if f, ok := floatFormats[t.Format]; ok {
		return f.bits / 8, []int{f.bits/8 - 2}, uint16(f.exponent >> 48)
	}
	return 0, nil, 0
}

// sum hashes a block and searches it, both at once as far as that goes.
func (x *Examination) sum(s Span, sums []longhash.Sum) ([]longhash.Sum, error) {
	f, long := &x.source.Files[s.File], x.turns[s.File].long
	for at := s.From; at < s.To; {
		to, sieve := x.stretch(s.File, at, s.To)
		search := x.checks.Finite
		switch {
		case sieve != nil:
			sums, search = long.Sieved(sums, int(at), int(to), sieve)
		case long != nil:
			sums = long.Blocks(sums, int(at), int(to))
		}
		if search { // finite tells what is found, and where
			if err := finite(f, x.byFile[s.File], f.mapped[at:to], at); err != nil {
				return sums, err
			}
		}
		at = to
	}
	return sums, nil
}

// stretch returns how far from byte `at` on, the first of a block of the hash, bytes are
// treated alike, up to end: blocks that lie in one tensor, with its sieve, and those
// between. All are, without a sieve, where the file has none.
func (x *Examination) stretch(file int, at, end int64) (to int64, sieve *longhash.Sieve) {
	all := x.byFile[file]
	i := sort.Search(len(all), func(i int) bool { return all[i].Offset+all[i].Bytes > at })
	if x.sieves[file] == nil || i == len(all) {
		return end, nil
	}
	t := all[i]
	whole := min(end, t.Offset+t.Bytes, int64(x.turns[file].long.Whole())) &^ (longhash.Block - 1)
	if t.Offset <= at && at < whole {
		return whole, x.sieves[file][i]
	}
	first := (t.Offset + longhash.Block - 1) &^ (longhash.Block - 1)
	return min(end, max(first, at+longhash.Block)), nil
}
