package cuda

import (
	"fmt"

	"llorch/inference/backend/cuda/driver"
)

// Steps of more rows than streamFrom are multiplied by kernels that stream activations
// beside the weights (stream.cu), up to streamRows in one launch; others by kernels that
// have them in registers. Bits are the same.
const (
	streamFrom = 2
	streamRows = 32
)

// streamShape is one instance of those kernels, for so many groups of 8 rows: a twin of
// those in stream.cu. Bytes of shared memory: rings of weights and activations, and the
// sums of a strip.
type streamShape struct{ groups, slots, slotsX int }

var streamShapes = []streamShape{{1, 11, 4}, {2, 10, 3}, {3, 8, 3}, {4, 8, 2}}

const (
	streamThreads = 32 * (warps + 2)
	chunkBytes    = 16 << 10 // of weights: 512 k of a strip
	chunkTiles    = 2 * warps
)

func (s streamShape) shared() int { return s.slots*chunkBytes + (s.slotsX+1)*s.groups*chunkBytes/2 }

// streams are the kernels that stream activations, by groups less one and blocks of a
// cluster less one, and what packs their activations.
type streams struct {
	pack    driver.Function
	kernels [4][2]driver.Function
}

func findStreams(drv driver.Driver, k *Kernels) (*streams, error) {
	s := &streams{}
	var err error
	if s.pack, err = k.Function("stream_pack"); err != nil {
		return nil, err
	}
	for i, shape := range streamShapes {
		for cluster := range s.kernels[i] {
			if s.kernels[i][cluster], err = k.Function(fmt.Sprintf("stream_%d_%d", shape.groups, cluster+1)); err != nil {
				return nil, err
			}
			if err = drv.SetFunctionAttribute(s.kernels[i][cluster], driver.FunctionMaxShared, shape.shared()); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// multiplyStreamed launches a projection of n rows from row m on, after their activations were put
// into operand order.
func (d *Device) multiplyStreamed(p *projection, chunks []chunk, f *fusion, m, n int) {
	params := streamParams{projectParams: d.projectParams(p, f, m, n)}
	groups := ceilDiv(n, 8)
	pack := streamPackParams{
		dst: d.operandRoom(0, groups*p.tiles/2*512), x: params.x, gamma: params.gamma, factors: d.factors, norm: params.norm,
		k: params.k, ldx: params.ldx, tiles: params.tiles, groups: int32(groups), gammaFormat: params.gammaFormat, eps: params.eps,
	}
	if params.gamma != 0 {
		params.factors = d.factors
	}
	params.x, params.gamma, params.norm = pack.dst, 0, 0
	c := driver.Blocks(n, 512)
	c.Programmatic = d.programmatic
	d.check(d.drv.Launch(d.kern.streams.pack, d.stream, c, driver.Params(&pack)))
	for _, part := range chunks {
		params.k0, params.chunks = int32(part.k0), int32(part.tiles*part.passes*warps/chunkTiles)
		d.launchStream(streamShapes[groups-1], &params)
		params.next()
	}
}

// launchStream launches a block a multiprocessor, in clusters where they have as many
// strips each that it is worth it.
func (d *Device) launchStream(s streamShape, p *streamParams) {
	blocks := min(d.blocks, int(p.strips))
	cluster := min(d.streamCluster, blocks)
	blocks -= blocks % cluster
	c := driver.Blocks(blocks, streamThreads)
	c.Programmatic, c.Shared = d.programmatic, uint32(s.shared())
	if cluster > 1 {
		c.Cluster = uint32(cluster)
	}
	d.check(d.drv.Launch(d.kern.streams.kernels[s.groups-1][cluster-1], d.stream, c, driver.Params(p)))
}
