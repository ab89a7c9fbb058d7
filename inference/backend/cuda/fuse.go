package cuda

import (
	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

// epilogues of the projection kernels.
const (
	epilogueStore = iota
	epilogueAdd
	epilogueSwiGLU
	epilogueRope
)

// fusion is what one launch of a projection does: ops of a plan that follow each other.
type fusion struct {
	p                   *projection
	chunks              []chunk // of bf16 weights
	norm, linear, after *op     // norm and after may be nil
	normRead, pairsRead bool
	packed              bool // SwiGLU's result is bf16, for the projection that comes next
	normLeft            bool // what norm makes is there: the launch before has left it
	behind              *op  // the norm whose result is left for the projection that comes next; nil: none
	ops                 int
}

// fused launches the ops that ops begin with as one kernel and returns how many they
// are, 0 where there is no such kernel.
func (d *Device) fused(ops []op) int {
	normed := d.normed
	d.normed = op{}
	if ops[0].kind == opAttend {
		d.attend(&ops[0], d.leaves(ops), d.leavesPrefill(ops))
		return 1
	}
	if n := d.chained(ops); n > 0 {
		return n
	}
	f := d.fusionOf(ops)
	if f.ops == 0 {
		return 0
	}
	d.prefill(f.p, &f, f.linear.decode)
	if len(f.p.formats) > 0 {
		d.multiplyQuant(f.p, &f)
		return f.ops
	}
	f.normLeft = f.norm != nil && normed.same(f.norm)
	f.behind = d.normBehind(f.p, f.linear, ops[f.ops:])
	d.multiply(f.p, f.chunks, &f, f.linear.decode)
	return f.ops
}

// fusionOf is what one launch can do of the ops that ops begin with, of no ops where there is no
// such kernel.
func (d *Device) fusionOf(ops []op) fusion {
	f, i := fusion{}, 0
	if ops[0].kind == opNorm && len(ops) > 1 {
		f.norm, i = &ops[0], 1
	}
	if ops[i].kind != opLinear {
		return fusion{}
	}
	f.linear = &ops[i]
	if f.p = d.projections[f.linear.linear[0].W.Data]; f.p == nil {
		return fusion{}
	}
	whole := true // kernels that do more than multiply
	if len(f.p.formats) == 0 {
		f.chunks = chunksFor(f.p.tiles, f.p.strips, d.blocks)
		whole = len(f.chunks) == 1 && f.chunks[0].passes == 1
	}
	if f.norm != nil && (f.linear.x != f.norm.dst || !whole || f.norm.w.Type.Block() > 1) {
		return fusion{}
	}
	f.ops = i + 1
	if len(ops) > f.ops && whole && f.p.takes(f.linear, &ops[f.ops]) {
		f.after = &ops[f.ops]
		f.ops++
	}
	rest := ops[f.ops:]
	if f.normRead = f.norm != nil && d.read(rest, f.norm.dst); f.normRead && f.norm.dst == f.norm.x {
		return fusion{}
	}
	f.pairsRead = f.gates() && d.read(rest, f.linear.dst)
	f.packed = f.gates() && d.onlyReader(len(f.p.formats) > 0, rest, f.after.dst)
	return f
}

// multiply launches a projection of the first rows of a step with bf16 weights, and notes what
// it leaves.
func (d *Device) multiply(p *projection, chunks []chunk, f *fusion, rows int) {
	if d.streams(rows) {
		d.multiplyStreamed(p, chunks, f, rows)
	} else {
		d.multiplyFew(p, chunks, f, rows)
	}
	if f.behind != nil && rows > 0 {
		d.normed = *f.behind
	}
	d.packed = nil
	if f.packed && !d.streams(rows) {
		d.packed = f.after.dst.Data
	}
}

// streams tells whether so many rows go to the kernels that stream activations.
func (d *Device) streams(rows int) bool { return d.kern.streams != nil && rows > d.streamFrom }

// normBehind is the norm of what a projection has added to, where the next projection begins with
// it: then it is left for that, times the norm's weights.
func (d *Device) normBehind(p *projection, o *op, rest []op) *op {
	if !o.add || len(p.parts) > 1 || len(rest) < 2 || rest[0].kind != opNorm || rest[1].kind != opLinear {
		return nil
	}
	n, l := &rest[0], &rest[1]
	next := d.projections[l.linear[0].W.Data]
	if n.x != o.dst || n.dst == n.x || n.w.Type.Block() > 1 || l.x != n.dst || l.decode != o.decode || next == nil || len(next.formats) > 0 || d.read(rest[2:], n.dst) {
		return nil
	}
	if chunks := chunksFor(next.tiles, next.strips, d.blocks); len(chunks) > 1 || chunks[0].passes > 1 {
		return nil
	}
	return n
}

// leaves tells whether attention writes its decode rows for the projection that follows,
// which streams them: as fragments, and nowhere else.
func (d *Device) leaves(ops []op) bool {
	o := &ops[0]
	return d.kern.attention.takes(o.kv, o.heads) && d.onlyReader(false, ops[1:], o.dst) &&
		d.streams(ops[1].decode) && ops[1].decode == d.batch.of.Decode
}

// leavesPrefill tells the same of the rows of a prompt, whose products take any weights from there.
func (d *Device) leavesPrefill(ops []op) bool {
	o := &ops[0]
	cols := o.heads.Q * o.heads.Dim
	return d.kern.attention.takes(o.kv, o.heads) && cols%64 == 0 && (d.onlyReader(false, ops[1:], o.dst) || d.onlyReader(true, ops[1:], o.dst)) &&
		ops[1].decode == d.batch.of.Decode
}

// onlyReader tells whether t is read by the projection that follows and by nobody else, and
// whether that is of quantised weights or not, as is asked for: the kernels for those and for
// bf16 do not read what the others pack.
func (d *Device) onlyReader(quantised bool, rest []op, t backend.Tensor) bool {
	if len(rest) == 0 || rest[0].kind != opLinear || rest[0].x != t || d.read(rest[1:], t) {
		return false
	}
	next := d.projections[rest[0].linear[0].W.Data]
	return next != nil && (len(next.formats) > 0) == quantised
}

// takes tells whether the projection's kernels do the next op, too.
func (p *projection) takes(o, next *op) bool {
	switch {
	case o.add:
		return false
	case next.kind == opSwiGLU:
		return p.pairs == gateUp && next.x == o.dst
	case next.kind == opRopeStore:
		return (p.pairs == halves || p.pairs == neighbours) && next.dst == o.dst && next.kv.K.Type.Block() == 1
	}
	return false
}

// projectParams are those of a projection of n rows, from row m on.
func (d *Device) projectParams(p *projection, f *fusion, m, n int) projectParams {
	o, x := f.linear, f.linear.x
	if f.norm != nil {
		x = f.norm.x
	}
	dst := o.dst
	params := projectParams{
		parts: int32(len(p.parts)), strips: int32(p.strips), m: int32(n), k: int32(p.k), ldx: int32(x.Cols), tiles: int32(p.tiles),
		epilogue: epilogueStore, arrive: d.arrive,
	}
	copy(params.part[:], p.partsFor(o.linear))
	if o.add {
		params.epilogue = epilogueAdd
	}
	if n := f.norm; n != nil {
		params.gamma, params.gammaFormat, params.eps = address(n.w), int32(n.w.Type), n.eps
		if f.normRead {
			params.norm = rowOf(n.dst, m)
		}
	}
	if a := f.after; a != nil && a.kind == opSwiGLU {
		params.epilogue, dst = epilogueSwiGLU, a.dst
		if f.pairsRead {
			params.pairs = rowOf(o.dst, m)
		}
	} else if a != nil {
		params.epilogue = epilogueRope
		d.ropeParams(&params, a, m)
	}
	params.x, params.dst, params.ldd = rowOf(x, m), rowOf(dst, m), int32(dst.Cols)
	return params
}

// next makes them those of the next stretch of k: it adds to what is there.
func (p *projectParams) next() {
	p.epilogue = epilogueAdd
	for i := range p.part {
		p.part[i].bias = 0
	}
}

// multiplyFew launches a projection of the first rows of a step, 8 at a time.
func (d *Device) multiplyFew(p *projection, chunks []chunk, f *fusion, rows int) {
	if f.norm != nil && !f.normLeft && rows > 0 {
		params := d.projectParams(p, f, 0, rows)
		d.packNormed(&params, d.normedRoom(rows, 16*p.tiles), d.squaresOf(0, p.k), 0)
	}
	for m := 0; m < rows; m += 8 {
		d.project(p, chunks, f, m, min(8, rows-m))
	}
}

// project launches a projection of up to 8 rows, from row m on.
func (d *Device) project(p *projection, chunks []chunk, f *fusion, m, n int) {
	params := d.projectParams(p, f, m, n)
	x := f.linear.x
	params.packedX, params.packedDst = flag(d.packed == x.Data && x.Data != nil), flag(f.packed)
	if f.norm != nil {
		params.takeNormed(d.operands.rooms[3]+driver.Ptr(2*m*p.k), d.squaresOf(m, p.k))
		params.packedX, params.ldx = 1, int32(p.k/2)
	}
	for i, c := range chunks {
		if f.behind != nil && i == len(chunks)-1 {
			d.leaveNormed(&params, f, m)
		}
		params.k0 = int32(c.k0)
		params.own, params.tickets = ownStrips(p.strips, d.blocks, c.passes), 0
		if params.own > 0 && d.hopper {
			params.tickets = d.nextTickets()
		}
		d.launchProject(c.geometry, &params)
		params.next()
	}
}

func (d *Device) ropeParams(p *projectParams, a *op, m int) {
	p.cos, p.sin, p.cache, p.kv = address(a.rope.Cos), address(a.rope.Sin), cacheOf(a.kv), int32(a.heads.KV)
	p.batch = d.batch.params()
	p.batch.positions += driver.Ptr(4 * m)
	p.batch.tables += driver.Ptr(4 * m)
}

func (d *Device) launchProject(g geometry, p *projectParams) {
	c := driver.Blocks(min(d.blocks, int(p.strips)), 32*(warps+4))
	c.Programmatic = d.programmatic
	if d.hopper {
		c.Shared = ringBytes
	}
	d.check(d.drv.Launch(d.kern.project[g], d.stream, c, driver.Params(p)))
}

// rowOf is the address of a row of activations.
func rowOf(t backend.Tensor, row int) driver.Ptr { return address(t) + driver.Ptr(row*t.RowBytes()) }
