package cpu

// #include "llo.h"
import "C"

import (
	"cmp"
	"slices"
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// plan is the recorded step. All of it lies in C memory, and what an op points
// to stays where it is until the step has run.
type plan struct {
	n       int // ops recorded
	ops     buffer
	arena   arena
	needs   needs
	met     met
	packed  buffer // activations as the kernels want them
	partial buffer // chunks of decode attention
	scratch buffer // one stretch a thread
	last    copied // the batch that was copied last
}

// What a device maps when it opens: room for some hundreds of ops, their batch,
// and heads of the usual size.
const (
	firstDim   = 128
	firstOps   = 256 << 10
	firstArena = 512 << 10
)

// needs are what the largest op so far wants of each buffer: bytes of packed
// activations, floats of partial sums, floats of one thread's scratch.
type needs struct{ packed, partial, scratch int }

// buffer is memory that grows.
type buffer struct{ block }

// grow makes room for n bytes, keeping what is there.
func (b *buffer) grow(n int) error {
	if int64(n) <= b.bytes {
		return nil
	}
	more, err := mapBlock(backend.Scratch, (int64(n)+0xffff)&^0xffff)
	if err != nil {
		return err
	}
	if b.addr != nil {
		copy(unsafe.Slice((*byte)(more.addr), more.bytes), unsafe.Slice((*byte)(b.addr), b.bytes))
	}
	b.unmap()
	b.block = more
	return nil
}

func (b *buffer) floats() *C.float { return float32s(b.addr) }

// arena hands out memory that is all taken back when the step has run.
type arena struct {
	blocks []block
	at     int   // the block in use
	used   int64 // bytes of it
}

func (a *arena) take(n int) (unsafe.Pointer, error) {
	size := (int64(n) + 63) &^ 63
	for ; a.at < len(a.blocks); a.at, a.used = a.at+1, 0 {
		if b := a.blocks[a.at]; a.used+size <= b.bytes {
			p := unsafe.Add(b.addr, a.used)
			a.used += size
			return p, nil
		}
	}
	b, err := mapBlock(backend.Scratch, max(size, firstArena))
	if err != nil {
		return nil, err
	}
	a.blocks = append(a.blocks, b)
	a.used = size
	return b.addr, nil
}

// start maps the first block, which a step of usual size does not outgrow.
func (a *arena) start() error {
	if len(a.blocks) > 0 {
		return nil
	}
	_, err := a.take(1)
	a.reset()
	return err
}

func (a *arena) reset() { a.at, a.used = 0, 0 }

// keep copies v to the arena and returns where it is, nil for an empty v.
func keep[T any](d *Device, v []T) *T {
	if len(v) == 0 {
		return nil
	}
	p, err := d.arena.take(len(v) * int(unsafe.Sizeof(v[0])))
	if err != nil {
		d.fail(err)
		return nil
	}
	copy(unsafe.Slice((*T)(p), len(v)), v)
	return (*T)(p)
}

// record appends an op.
func (d *Device) record(op C.llo_op) {
	if len(d.drawing) > 0 { // what comes now may overwrite the logits they wait for
		d.flush()
	}
	size := int(unsafe.Sizeof(op))
	if err := d.ops.grow((d.plan.n + 1) * size); err != nil {
		d.fail(err)
		return
	}
	unsafe.Slice((*C.llo_op)(d.ops.addr), d.plan.n+1)[d.plan.n] = op
	d.plan.n++
}

// run executes the recorded ops unless recording them failed, and forgets them.
func (d *Device) run() error {
	defer d.reset()
	if d.err != nil {
		return d.err
	}
	if err := d.fit(); err != nil {
		return err
	}
	ops := unsafe.Slice((*C.llo_op)(d.ops.addr), d.plan.n)
	for i := range ops {
		d.point(&ops[i])
	}
	s := C.llo_step{
		pool: d.pool, kern: d.kern, ops: (*C.llo_op)(d.ops.addr), nops: C.int64_t(d.plan.n),
		scratch: d.scratch.floats(), stride: C.int64_t(d.stride()),
	}
	C.llo_run(&s)
	return nil
}

func (d *Device) stride() int { return (d.needs.scratch + 15) &^ 15 }

// fit makes the buffers as large as the needs.
func (d *Device) fit() error {
	return cmp.Or(d.packed.grow(d.needs.packed), d.partial.grow(4*d.needs.partial), d.scratch.grow(4*d.stride()*d.threads))
}

// start maps what every model needs.
func (d *Device) start() error {
	d.needs = needs{
		partial: partialFloats(d.mostChunks(0), firstDim),
		scratch: max(int(d.kern.gemm_bytes+3)/4, int(C.llo_attend_floats(d.kern, C.LLO_HEADS, firstDim))),
	}
	return cmp.Or(d.fit(), d.ops.grow(firstOps), d.arena.start())
}

// reserve takes what the ops over a new tensor can want, so that a step finds
// its memory there: an activation is packed for the weights that it meets, which
// models place before they allocate activations, and the columns of a cache are
// the size of a head.
func (d *Device) reserve(use backend.Use, t backend.Tensor) error {
	cols := C.int64_t(t.Cols)
	switch {
	case use == backend.Weights:
		d.met.note(t.Type, t.Rows, t.Cols)
	case use == backend.Cache:
		d.needs.partial = max(d.needs.partial, partialFloats(d.mostChunks(t.Rows), t.Cols))
		d.needs.scratch = max(d.needs.scratch, int(C.llo_attend_floats(d.kern, C.LLO_HEADS, cols)))
	case use == backend.Scratch && t.Type == tensor.F32:
		d.needs.packed = max(d.needs.packed, d.packedMost(t))
	}
	return d.fit()
}

// point gives an op the plan's buffers, whose addresses are final only now.
// Recording left the offset of each packing, counted from 1.
func (d *Device) point(op *C.llo_op) {
	if op.code == C.LLO_LINEAR {
		for i := range op.packed {
			if op.at[i] > 0 {
				op.packed[i] = bytes(unsafe.Add(d.packed.addr, op.at[i]-1))
			}
		}
	}
	op.partial = d.partial.floats()
}

func (d *Device) reset() {
	d.plan.n = 0
	d.arena.reset()
	d.last.at = nil
}

func (p *plan) blocks() []block {
	all := slices.Clone(p.arena.blocks)
	for _, b := range []buffer{p.ops, p.packed, p.partial, p.scratch} {
		if b.addr != nil {
			all = append(all, b.block)
		}
	}
	return all
}

func (p *plan) free() {
	for _, b := range p.blocks() {
		b.unmap()
	}
	*p = plan{}
}

// copied is a batch that lies in C memory already, and what it held.
type copied struct {
	at                        *C.llo_batch
	tokens, positions, logits []int32
	decode                    int
	seqs                      []backend.Seq
	pages                     []int32
}

// batch returns b in C memory. Ops of one step mostly bring the same batch; it
// is recognised by what it holds, because the engine reuses its memory.
func (d *Device) batch(b *backend.Batch) *C.llo_batch {
	c := &d.last
	pages := c.pages[:0]
	if c.at != nil && c.same(b) {
		return c.at
	}
	c.tokens, c.positions = append(c.tokens[:0], b.Tokens...), append(c.positions[:0], b.Positions...)
	c.logits, c.decode, c.seqs = append(c.logits[:0], b.Logits...), b.Decode, append(c.seqs[:0], b.Seqs...)
	seqOf := make([]int32, len(b.Tokens))
	first, rows, page0 := make([]int64, len(b.Seqs)), make([]int64, len(b.Seqs)), make([]int64, len(b.Seqs))
	for i, s := range b.Seqs {
		first[i], rows[i], page0[i] = int64(s.First), int64(s.Rows), int64(len(pages))
		pages = append(pages, s.Pages...)
		for r := s.First; r < s.First+s.Rows; r++ {
			seqOf[r] = int32(i)
		}
	}
	c.pages = pages
	c.at = keep(d, []C.llo_batch{{
		tokens: (*C.int32_t)(keep(d, c.tokens)), positions: (*C.int32_t)(keep(d, c.positions)),
		logits: (*C.int32_t)(keep(d, c.logits)), seq_of: (*C.int32_t)(keep(d, seqOf)), pages: (*C.int32_t)(keep(d, pages)),
		seq_first: (*C.int64_t)(keep(d, first)), seq_rows: (*C.int64_t)(keep(d, rows)), page0: (*C.int64_t)(keep(d, page0)),
		n: C.int64_t(len(b.Tokens)), decode: C.int64_t(b.Decode), nseq: C.int64_t(len(b.Seqs)),
	}})
	return c.at
}

func (c *copied) same(b *backend.Batch) bool {
	if c.decode != b.Decode || len(c.seqs) != len(b.Seqs) || !slices.Equal(c.tokens, b.Tokens) ||
		!slices.Equal(c.positions, b.Positions) || !slices.Equal(c.logits, b.Logits) {
		return false
	}
	pages := c.pages
	for i, s := range b.Seqs {
		o := c.seqs[i]
		if s.First != o.First || s.Rows != o.Rows || len(s.Pages) > len(pages) || !slices.Equal(s.Pages, pages[:len(s.Pages)]) {
			return false
		}
		pages = pages[len(s.Pages):]
	}
	return len(pages) == 0
}
