package cuda

import (
	"fmt"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// Few rows leave a device idle, and blocks of attend_ring.cu that have splits of a row wait for each other through
// memory. kernels/attend_cluster.cu has a cluster of blocks for each row and part instead, as long as there is a
// multiprocessor for every two blocks.
const (
	clusterRanks = 8   // blocks of a cluster, at most
	clusterGrid  = 264 // blocks of a launch, at most
)

// reach is how far the decode rows of a step look back, the longest of them. Steps that differ in it have
// different graphs.
type reach uint8

const (
	reachShort  reach = iota // rows have four splits at most
	reachMiddle              // sixteen: a block has two, or four where clusters have half of the blocks
	reachLong
)

func reachOf(b *backend.Batch) (r reach) {
	for _, at := range b.Positions[:b.Decode] {
		r = max(r, reachAt(int(at)))
	}
	return r
}

// reachAt is that of a row at a position: a split has two blocks at least.
func reachAt(position int) reach {
	switch blocks := position/decodeBlock + 1; {
	case blocks <= 2*4:
		return reachShort
	case blocks <= 2*16:
		return reachMiddle
	}
	return reachLong
}

// splits bounds those of a row, where no row has more than so many.
func (r reach) splits(most int) int {
	switch r {
	case reachShort:
		return min(4, most)
	case reachMiddle:
		return min(16, most)
	}
	return most
}

// ranksFor is how many blocks have a part of a row, of so many parts of all rows and with so many splits at most,
// 0 where the blocks share all splits. Bits do not depend on it.
func ranksFor(parts, most int, r reach) int {
	n := clusterRanks
	switch {
	case r == reachLong && most > clusterRanks: // a block would have several splits, one after the other
		return 0
	case r == reachShort && parts > 16: // more blocks would have none
		n = 4
	}
	for n > 1 && n*parts > clusterGrid {
		n /= 2
	}
	return n &^ 1
}

// clusterShared is the shared memory of a block, in bytes, where rows have so many splits at most: that of a ring,
// a barrier, and what blocks send each other.
func (s ringShape) clusterShared(ranks, splits int) int {
	return s.shared() + 16 + 8*splits*s.queries*(1+s.dim/2/ranks)
}

// findCluster finds the kernel of a shape, none where the largest cluster does not fit: on a slice of a GPU.
func (r *ringKernel) findCluster(drv driver.Driver, k *Kernels, format tensor.DType) error {
	f, err := k.Function(fmt.Sprintf("attend_cluster_%v_%d_%d", format, r.dim, r.queries))
	if err != nil {
		return err
	}
	most := r.clusterShared(2, reachMiddle.splits(decodeMost))
	if err = drv.SetFunctionAttribute(f, driver.FunctionMaxShared, most); err != nil {
		return err
	}
	if err = drv.SetFunctionAttribute(f, driver.FunctionCarveout, 100); err != nil {
		return err
	}
	c := driver.Blocks(clusterRanks, attendThreads)
	c.Cluster, c.Shared = clusterRanks, uint32(most)
	if n, err := drv.Clusters(f, c); err != nil || n == 0 {
		return err
	}
	r.cluster = f
	return nil
}

// clusterLaunch is how the kernel is launched for so many rows by clusters of so many blocks.
func (r *ringKernel) clusterLaunch(h backend.Heads, rows, ranks int, of reach) decodeCall {
	s := decodeShapeOf(h)
	c := driver.Blocks(rows*s.parts*ranks, attendThreads)
	c.Cluster, c.Shared = uint32(ranks), uint32(r.clusterShared(ranks, of.splits(s.most)))
	return decodeCall{f: r.cluster, c: c, ranks: ranks}
}
