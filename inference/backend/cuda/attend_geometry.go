package cuda

import (
	"cmp"
	"slices"

	"llorch/inference/backend"
)

// Geometry of the fast attention kernels: kernels/attend_decode.cu, attend_ring.cu, attend_prefill.cu.
const (
	attendThreads = 128
	decodeQueries = 8       // query heads of a block
	decodeBlock   = 64      // positions that its warps take at a time
	decodeTile    = 16      // positions that one of them does
	decodeMost    = 64      // splits of a row
	ticketBytes   = 4 << 16 // a counter for each row and x of a launch
	splitBytes    = 32 << 20
	prefillRows   = 64 // of a tile of queries, and positions of one of keys
	wideRows      = 192
)

// decodeShape is how rows of the decode phase are cut. It follows from the model
// alone, never from the batch: a row's bits depend on it.
type decodeShape struct {
	parts int // blocks of a row and a split
	most  int // splits of a row
	least int // log2 of the blocks of decodeBlock positions that a split has at least
}

// decodeShapeOf cuts a row so that one alone can fill a device of up to 132
// multiprocessors, two blocks each.
func decodeShapeOf(h backend.Heads) decodeShape {
	parts := h.KV * ((h.Q/h.KV + decodeQueries - 1) / decodeQueries)
	return decodeShape{parts, min(max(264/parts, 4), decodeMost), 1}
}

// cut returns the splits of a row at a position and their blocks: cut_of of the kernel.
func (s decodeShape) cut(position, window int) (splits, each int) {
	first := 0
	if window > 0 {
		first = max(0, position-window+1)
	}
	blocks := position/decodeBlock - first/decodeBlock + 1
	splits = min(s.most, ceil(blocks, 1<<s.least))
	each = ceil(blocks, splits)
	return ceil(blocks, each), each
}

// rows returns how many rows one launch has room for.
func (s decodeShape) rows(h backend.Heads) int {
	row := h.Q * s.most * (4*h.Dim + 8)
	return min(splitBytes/row, ticketBytes/4/s.parts)
}

// decodeBlocks is how many blocks are resident at once, as the kernels' launch bounds
// have it: they share the splits of all rows.
func decodeBlocks(dim, sms int) int {
	switch {
	case dim > 128:
		return 2 * sms
	case dim > 80:
		return 3 * sms
	case dim > 64:
		return 4 * sms
	}
	return 5 * sms
}

func ceil(a, b int) int { return (a + b - 1) / b }

// prefillShared is the size of Prefill::Shared in bytes.
func prefillShared(dim int) int {
	stride := (dim/8 | 1) * 16
	queries := 16
	if dim > 128 {
		queries = attendThreads * dim
	}
	return 4*prefillRows*stride + 2*4*prefillRows + queries
}

// hopperShared is the size of Hopper::Shared in bytes.
func hopperShared(dim int) int { return 4*prefillRows*2*dim + 2*4*prefillRows }

// wideTiles tells whether a batch has rows enough to fill a device with wide tiles of
// queries, which share what they read. A row's bits do not depend on it.
func wideTiles(b *backend.Batch) bool { return b.Rows()-b.Decode >= 1024 }

// countTiles counts the tiles of so many queries of a batch's prefill rows.
func countTiles(b *backend.Batch, rows int) int {
	n := 0
	for i := range b.Seqs {
		if b.Seqs[i].First >= b.Decode {
			n += ceil(b.Seqs[i].Rows, rows)
		}
	}
	return n
}

// fillTiles writes the tiles, first row and number of rows of each, those that see most
// positions first: they take longest, so they must not begin last.
func fillTiles(words []int32, b *backend.Batch, most int) {
	type tile struct{ first, rows, last int32 }
	tiles := make([]tile, 0, len(words)/2)
	for i := range b.Seqs {
		s := &b.Seqs[i]
		if s.First < b.Decode {
			continue
		}
		for at := s.First; at < s.First+s.Rows; at += most {
			rows := min(most, s.First+s.Rows-at)
			tiles = append(tiles, tile{int32(at), int32(rows), b.Positions[at+rows-1]})
		}
	}
	slices.SortStableFunc(tiles, func(a, b tile) int { return cmp.Compare(b.last, a.last) })
	for i, t := range tiles {
		words[2*i], words[2*i+1] = t.first, t.rows
	}
}
