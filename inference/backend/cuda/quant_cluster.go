package cuda

import (
	"fmt"
	"slices"

	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// Decode rows beyond what quant.cu takes at a time are multiplied by clusters of blocks
// (kernels/quant_cluster.cu): a block has the activations of all rows for its part of k, so
// that the weights are read once. Bits are the same.
const (
	clusterRows      = 32
	clusterBlocks    = 8         // of a cluster, at most
	clusterShared    = 224 << 10 // of a block, beside its static variables
	clusterThreads   = 32 * (warps + 4)
	clusterMost      = 12 // stages of a ring
	clusterLeast     = 4
	clusterFinishing = 8 << 10 // sums of 16 slices for 8 rows
)

// clusters are the kernels, by groups of 8 rows less one, and how many clusters of 1, 2, 4 and 8 blocks
// the device runs at once.
type clusters struct {
	kernels  [clusterRows / 8]driver.Function
	resident map[int]int
}

// findClusters finds them, nil where what runs is not compiled for Hopper.
func findClusters(drv driver.Driver, k *Kernels) (*clusters, error) {
	c := &clusters{resident: map[int]int{}}
	for i := range c.kernels {
		var err error
		if c.kernels[i], err = k.Function(fmt.Sprintf("quant_cluster_%d", i+1)); err != nil {
			return nil, err
		}
		most, err := drv.FunctionAttribute(c.kernels[i], driver.FunctionMaxThreads)
		if err != nil || most < clusterThreads {
			return nil, err
		}
		if err = drv.SetFunctionAttribute(c.kernels[i], driver.FunctionMaxShared, clusterShared); err != nil {
			return nil, err
		}
	}
	for n := 1; n <= clusterBlocks; n *= 2 {
		shape := driver.Blocks(n, clusterThreads)
		shape.Shared, shape.Cluster = clusterShared, uint32(n)
		resident, err := drv.Clusters(c.kernels[0], shape)
		if driver.IsSticky(err) {
			return nil, err
		}
		c.resident[n] = resident // 0 where that many cannot be: a slice of a GPU
	}
	return c, nil
}

// partBytes is a block's part of a record, where so many share it out: Portion of
// kernels/quant_part.cuh.
func partBytes(t tensor.DType, blocks int) int {
	integers := quantFormats[t].slice * warps
	return integers/blocks + (recordBytes(t)-integers)/min(blocks, 2)
}

// clusterLaunch is how the kernel for so many rows is launched: blocks of a cluster, and the bytes of
// a block's activations.
type clusterLaunch struct{ rows, blocks, xBytes int }

func (c clusterLaunch) groups() int { return ceilDiv(c.rows, 8) }

// stages is how many of a format's the ring has.
func (c clusterLaunch) stages(t tensor.DType) int {
	left := clusterShared - c.xBytes - c.groups()*clusterFinishing
	return min(clusterMost, left/(c.blocks*partBytes(t, c.blocks)))
}

// rowBytes is what a slice of a row of activations takes: integers, scales, and what belongs to their sums.
// RowBytes of kernels/quant_rows.cuh.
func rowBytes(t tensor.DType) int {
	if t == tensor.Q8_0 {
		return 64 + 2
	}
	return 64 + quantFormats[t].groups*(2+4)
}

// clusterLaunchFor finds the smallest clusters that have room for the activations of so many rows,
// blocks 0 where none has.
func clusterLaunchFor(formats []tensor.DType, records, rows int) clusterLaunch {
	for blocks := 1; blocks <= clusterBlocks; blocks *= 2 {
		c, fits := clusterLaunch{rows: rows, blocks: blocks}, true
		for _, t := range formats {
			x := records * warps / blocks * 8 * c.groups() * rowBytes(t)
			c.xBytes = max(c.xBytes, ceilDiv(x, 128)*128)
		}
		for _, t := range formats {
			fits = fits && c.stages(t) >= clusterLeast
		}
		if fits {
			return c
		}
	}
	return clusterLaunch{}
}

// clusterFor is the launch for the next of n rows that are left, and how many it takes: 0 without such kernels.
func (d *Device) clusterFor(formats []tensor.DType, records, n int) (clusterLaunch, int) {
	if d.kern.clusters == nil {
		return clusterLaunch{}, 0
	}
	for most := min(n, clusterRows); most > 0; most = (most - 1) / 8 * 8 {
		rows := ceilDiv(n, ceilDiv(n, most))
		if c := clusterLaunchFor(formats, records, rows); c.blocks > 0 && d.kern.clusters.resident[c.blocks] > 0 {
			return c, rows
		}
	}
	return clusterLaunch{}, 0
}

// takenBytes is what the activations of so many groups of 8 rows take for all slices, in the format that
// takes most: Rows of kernels/quant_rows.cuh.
func takenBytes(records, groups int) int { return records * warps * 8 * groups * rowBytes(tensor.Q6_K) }

const squaresBytes = warps * clusterRows * 4

// growTaken makes room for the activations of a projection of quantised weights.
func (d *Device) growTaken(p *projection) {
	if d.kern.clusters != nil {
		d.operandRoom(5, squaresBytes+len(p.formats)*takenBytes(recordsFor(p.k), clusterRows/8))
	}
}

// launchCluster multiplies rows from m on: first integers are made of them, for each format.
func (d *Device) launchCluster(p *projection, f *fusion, m, rows int, c clusterLaunch) {
	n := max(1, min(d.kern.clusters.resident[c.blocks], d.blocks/c.blocks))
	q, runs := d.quantParams(p, f, m, rows, n)
	records := recordsFor(p.k)
	room := d.operandRoom(5, squaresBytes+len(p.formats)*takenBytes(records, c.groups()))
	taken := rowsTakenParams{projectParams: q.projectParams, squares: room, chunks: int32(records), rows: int32(8 * c.groups())}
	for i, t := range p.formats {
		taken.format[i], taken.dst[i] = int32(t), room+driver.Ptr(squaresBytes+i*takenBytes(records, c.groups()))
	}
	shape := driver.LaunchConfig{Grid: [3]uint32{uint32(rows), 4, uint32(len(p.formats))}, Block: [3]uint32{128}, Programmatic: d.programmatic}
	d.check(d.drv.Launch(d.kern.quantRows, d.stream, shape, driver.Params(&taken)))

	params := clusterParams{quantParams: q, squares: room, cluster: int32(c.blocks)}
	params.xBytes = int32(c.xBytes)
	ring := 0
	for i := range runs[:q.runs] {
		t := tensor.DType(runs[i].format)
		params.run[i].stages = int32(c.stages(t))
		params.taken[i] = taken.dst[slices.Index(p.formats, t)]
		ring = max(ring, c.stages(t)*c.blocks*partBytes(t, c.blocks))
	}
	shape = driver.Blocks(int(runs[q.runs].block)*c.blocks, clusterThreads)
	shape.Programmatic, shape.Cluster = d.programmatic, uint32(c.blocks)
	shape.Shared = uint32(c.xBytes + c.groups()*clusterFinishing + ring)
	d.check(d.drv.Launch(d.kern.clusters.kernels[c.groups()-1], d.stream, shape, driver.Params(&params)))
}
