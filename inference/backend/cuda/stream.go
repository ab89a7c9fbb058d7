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

var streamShapes = []streamShape{{1, 12, 3}, {2, 10, 3}, {3, 8, 3}, {4, 8, 2}}

const (
	streamThreads = 32 * (warps + 4)
	chunkBytes    = 16 << 10 // of weights: 512 k of a strip
	chunkTiles    = 2 * warps
)

func (s streamShape) shared() int { return s.slots*chunkBytes + (s.slotsX+1)*s.groups*chunkBytes/2 }

// streams are the kernels that stream activations, by groups less one.
type streams struct{ kernels [4]driver.Function }

// findStreams finds them, nil where what runs is compiled for any GPU from Hopper on and not for that: then
// kernels with activations in registers take all steps.
func findStreams(drv driver.Driver, k *Kernels) (*streams, error) {
	s := &streams{}
	for i, shape := range streamShapes {
		var err error
		if s.kernels[i], err = k.Function(fmt.Sprintf("stream_%d", shape.groups)); err != nil {
			return nil, err
		}
		most, err := drv.FunctionAttribute(s.kernels[i], driver.FunctionMaxThreads)
		if err != nil || most < streamThreads {
			return nil, err
		}
		if err = drv.SetFunctionAttribute(s.kernels[i], driver.FunctionMaxShared, shape.shared()); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// multiplyStreamed launches a projection of the first rows of a step, streamRows at a time.
func (d *Device) multiplyStreamed(p *projection, chunks []chunk, f *fusion, rows int) {
	packed := d.operands.left != nil && d.operands.left == f.linear.x.Data
	d.operands.left = nil
	for m := 0; m < rows; m += streamRows {
		n := min(streamRows, rows-m)
		params := streamParams{projectParams: d.projectParams(p, f, m, n)}
		switch {
		case packed:
			params.x = d.operands.rooms[2] + driver.Ptr(operandBytes(m, 16*p.tiles))
		case f.normLeft:
			params.takeNormed(d.operands.rooms[3]+driver.Ptr(operandBytes(m, 16*p.tiles)), d.squaresOf(m, p.k))
		default:
			d.packStreamed(&params.projectParams, rows, m)
		}
		if f.packed {
			d.leaveFragments(&params, f.after.dst.Cols, m, rows)
		}
		for i, part := range chunks {
			if f.behind != nil && i == len(chunks)-1 {
				d.leaveNormed(&params.projectParams, f, m)
			}
			params.k0, params.chunks = int32(part.k0), int32(part.tiles*part.passes*warps/chunkTiles)
			d.launchStream(streamShapes[ceilDiv(n, 8)-1], &params)
			params.next()
		}
	}
	if f.packed {
		d.operands.left = f.after.dst.Data
	}
}

// packStreamed makes fragments of the rows that a projection reads, from row m of so many on.
func (d *Device) packStreamed(p *projectParams, rows, m int) {
	k := 16 * int(p.tiles)
	dst := d.operandRoom(0, operandBytes(int(p.m), k))
	if p.gamma != 0 {
		dst = d.normedRoom(rows, k) + driver.Ptr(operandBytes(m, k))
	}
	d.packNormed(p, dst, d.squaresOf(m, int(p.k)), ceilDiv(int(p.m), 8))
	p.takeNormed(dst, d.squaresOf(m, int(p.k)))
}

// leaveFragments has SwiGLU write rows of so many columns as fragments, for the
// projection that comes next.
func (d *Device) leaveFragments(p *streamParams, cols, m, rows int) {
	tiles := tilesFor(cols)
	p.packedDst, p.ldd, p.end = packedFragments, int32(ceilDiv(int(p.m), 8)), int32(tiles*16)
	p.dst = d.operandRoom(2, operandBytes(rows, 16*tiles)) + driver.Ptr(operandBytes(m, 16*tiles))
}

// launchStream launches a block a multiprocessor.
func (d *Device) launchStream(s streamShape, p *streamParams) {
	c := driver.Blocks(min(d.blocks, int(p.strips)), streamThreads)
	c.Programmatic, c.Shared = d.programmatic, uint32(s.shared())
	d.check(d.drv.Launch(d.kern.streams.kernels[s.groups-1], d.stream, c, driver.Params(p)))
}
