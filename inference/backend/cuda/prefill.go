package cuda

import (
	"slices"
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

// operands is device memory for activations in bf16, of prompts in operand order: those that a projection
// reads and those that it leaves for the next; of decode rows, as fragments, those that are left, those that
// are normed, the squares of these, and integers of decode rows (quant_cluster.go).
type operands struct {
	rooms  [6]driver.Ptr
	bytes  [6]int
	packed bool           // rooms[1] has what the next projection reads
	left   unsafe.Pointer // the tensor whose decode rows are in rooms[2]
}

// prefill launches a projection of the rows of the prefill phase, from row `from` on, and
// what is fused with it.
func (d *Device) prefill(p *projection, f *fusion, from int) {
	o := f.linear
	rows := o.x.Rows - from
	packed := d.operands.packed
	d.operands.packed = false
	if rows <= 0 || d.dead() {
		return
	}
	c := gemmCall{n: rows, k: p.k, tiles: p.tiles, parts: p.partsFor(o.linear), out: rowOf(o.dst, from), ldd: o.dst.Cols, epilogue: epilogueStore}
	if o.add {
		c.epilogue = epilogueAdd
	}
	if c.x = d.operands.rooms[1]; !packed {
		c.x = d.packInput(f, p.k, from, rows)
	}
	if f.after != nil && f.after.kind == opSwiGLU && !f.pairsRead {
		d.gateInPlace(&c, f, from)
	}
	turned := f.after != nil && f.after.kind == opRopeStore && slices.Contains(attendFormats, f.after.kv.K.Type)
	if turned { // keys and values go to the cache only
		c.epilogue, c.rope = epilogueRope, d.ropeStoreParams(f.after, from)
	}
	if len(p.formats) > 0 {
		d.gemmQuant(&c, c.parts)
	} else {
		d.gemm(d.kern.gemms, &c)
	}
	if a := f.after; a != nil && a.kind == opRopeStore && !turned {
		d.ropeStore(a, from)
	} else if a != nil && f.pairsRead {
		d.swiglu(a, from)
	}
}

// packInput puts the rows that a projection reads into operand order, normed where a norm
// is fused with it.
func (d *Device) packInput(f *fusion, k, from, rows int) driver.Ptr {
	room := d.operandRoom(0, operandBytes(rows, k))
	if f.norm == nil {
		d.packRows(d.kern.gemms, room, rowOf(f.linear.x, from), rows, k, backend.Tensor{}, 0)
		return room
	}
	d.packRows(d.kern.gemms, room, rowOf(f.norm.x, from), rows, k, f.norm.w, f.norm.eps)
	if f.normRead {
		d.rmsNorm(f.norm, from)
	}
	return room
}

// gateInPlace lets the kernel multiply gate and up, for the projection that comes next
// where nobody else reads it.
func (d *Device) gateInPlace(c *gemmCall, f *fusion, from int) {
	act := f.after.dst
	c.epilogue, c.out, c.ldd = epilogueSwiGLU, rowOf(act, from), act.Cols
	if f.packed && act.Cols%64 == 0 {
		c.epilogue, c.out = epiloguePacked, d.operandRoom(1, operandBytes(c.n, act.Cols))
		d.operands.packed = true
	}
}

// operandRoom is memory of at least so many bytes. That of prompts is made for the largest
// step that the model's own scratch has room for, since nothing is allocated once a model is
// loaded.
func (d *Device) operandRoom(i, bytes int) driver.Ptr {
	r := &d.operands
	if r.bytes[i] >= bytes {
		return r.rooms[i]
	}
	if i < 2 {
		bytes = max(bytes, 2*d.mostScratch+1<<16)
	}
	if r.rooms[i] != 0 {
		d.forgetAll() // graphs have its address
		d.check(d.drv.StreamSynchronize(d.stream))
		d.check(d.release(r.rooms[i]))
	}
	p, err := d.alloc(backend.Scratch, int64(bytes))
	if err != nil {
		d.fail(d.latched(err))
		r.rooms[i], r.bytes[i] = 0, 0
		return 0
	}
	r.rooms[i], r.bytes[i] = p, bytes
	return p
}
