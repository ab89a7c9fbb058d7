package cuda

import "llorch/inference/backend/cuda/driver"

// Norms of decode rows before projections with bf16 weights: the rows lie in bf16, times the
// weights of the norm, as the kernel wants them, and so do the sums of their squares, of 16
// elements each; the kernel multiplies its results by the factors that follow. The projection
// that adds to the residual stream leaves all that; at the beginning of a step a kernel of
// its own does.

// packedRows and packedFragments are how rows are left: PackedDst of project.cuh.
const (
	packedRows      = 1
	packedFragments = 2
)

// normedRoom is memory for so many normed rows of k, in any order, and for their squares.
func (d *Device) normedRoom(rows, k int) driver.Ptr {
	d.operandRoom(4, 4*rows*ceilDiv(k, 16))
	return d.operandRoom(3, operandBytes(rows, k))
}

// squaresOf is where those of the rows of k from row m on lie.
func (d *Device) squaresOf(m, k int) driver.Ptr {
	return d.operands.rooms[4] + driver.Ptr(4*m*ceilDiv(k, 16))
}

// packNormed puts the rows that a projection reads where it takes them from: as fragments
// of so many groups, or as rows. With a norm, squares are for it.
func (d *Device) packNormed(p *projectParams, dst, squares driver.Ptr, groups int) {
	pack := streamPackParams{
		dst: dst, x: p.x, gamma: p.gamma, squares: squares, norm: p.norm, k: p.k, ldx: p.ldx, tiles: p.tiles, groups: int32(groups),
		gammaFormat: p.gammaFormat, eps: p.eps,
	}
	c := driver.Blocks(int(p.m), 128)
	c.Programmatic = d.programmatic
	if !d.broken() {
		d.check(d.drv.Launch(d.kern.pack, d.stream, c, driver.Params(&pack)))
	}
}

// takeNormed lets a projection read what was packed or left. Without a norm there are no squares.
func (p *projectParams) takeNormed(x, squares driver.Ptr) {
	if p.gamma != 0 {
		p.squares, p.squaresOf = squares, int32(ceilDiv(int(p.k), 16))
	}
	p.x, p.gamma, p.norm = x, 0, 0
}

// leaveNormed lets a projection leave rows, from row m on, for the norm behind and the projection
// that follows it.
func (d *Device) leaveNormed(p *projectParams, f *fusion, m int) {
	n, k := f.behind, f.behind.x.Cols
	tiles := tilesFor(k)
	room := d.normedRoom(f.linear.decode, 16*tiles)
	p.left = left{squares: d.squaresOf(m, k), gamma: address(n.w), gammaFormat: int32(n.w.Type)}
	if d.streams(f.linear.decode) {
		p.left.dst, p.left.order = room+driver.Ptr(operandBytes(m, 16*tiles)), packedFragments
		p.left.ld, p.left.end = int32(ceilDiv(int(p.m), 8)), int32(16*tiles)
	} else {
		p.left.dst, p.left.order, p.left.ld = room+driver.Ptr(2*m*k), packedRows, int32(k/2)
	}
}
