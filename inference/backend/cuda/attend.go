package cuda

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// attendKind names a fast kernel of attention.
type attendKind struct {
	cache tensor.DType
	dim   int
}

// attendDims are the head sizes of the fast kernels (ATTEND_DIMS in attend.cuh), and
// attendFormats the formats of their caches.
var (
	attendDims    = []int{16, 32, 64, 80, 96, 128, 256}
	attendFormats = []tensor.DType{tensor.F16, tensor.BF16}
)

// prefillKernel is a kernel of the prefill phase and the shared memory it takes.
type prefillKernel struct {
	f, wide driver.Function // wide takes tiles of wideRows; 0: there is none
	shared  int
}

// attention are the fast kernels, by kind.
type attention struct {
	decode  map[attendKind]driver.Function
	prefill map[attendKind]prefillKernel
	rings   attendRings
	ranks   func(parts, most int, r reach) int        // ranksFor
	teams   func(s ringShape, parts int, r reach) int // teamsFor
}

// findAttention finds the fast kernels, those for Hopper's matrix unit where there is
// code for it.
func findAttention(drv driver.Driver, k *Kernels) (*attention, error) {
	a := &attention{decode: map[attendKind]driver.Function{}, prefill: map[attendKind]prefillKernel{}, ranks: ranksFor, teams: teamsFor}
	for _, t := range attendFormats {
		for _, dim := range attendDims {
			if err := a.find(drv, k, attendKind{t, dim}); err != nil {
				return a, fmt.Errorf("cuda: kernels of attention for %v, heads of %d: %w", t, dim, err)
			}
		}
	}
	var err error
	a.rings, err = findRings(drv, k)
	return a, err
}

// invalidValue is what the driver calls more shared memory than there is (CUresult).
const invalidValue = 1

// find finds the kernels for one kind, unless a block of the device has too little shared
// memory for them.
func (a *attention) find(drv driver.Driver, k *Kernels, kind attendKind) error {
	decode, err := k.Function(fmt.Sprintf("attend_decode_%v_%d", kind.cache, kind.dim))
	if err != nil {
		return err
	}
	p := prefillKernel{shared: hopperShared(kind.dim)}
	p.f, err = k.Function(fmt.Sprintf("attend_hopper_%v_%d", kind.cache, kind.dim))
	if errors.Is(err, errNoKernel) {
		p.shared = prefillShared(kind.dim)
		p.f, err = k.Function(fmt.Sprintf("attend_prefill_%v_%d", kind.cache, kind.dim))
	}
	if err != nil {
		return err
	}
	if p.wide, err = k.Function(fmt.Sprintf("attend_wide_%v_%d", kind.cache, kind.dim)); err == nil {
		if drv.SetFunctionAttribute(p.wide, driver.FunctionMaxShared, p.shared) != nil {
			p.wide = 0
		}
	} else if !errors.Is(err, errNoKernel) {
		return err
	}
	err = drv.SetFunctionAttribute(p.f, driver.FunctionMaxShared, p.shared)
	if driver.Code(err) == invalidValue {
		return nil
	}
	a.decode[kind], a.prefill[kind] = decode, p
	return err
}

// takes tells whether the fast kernels serve a cache: they find a page by a shift.
func (a *attention) takes(kv backend.KV, h backend.Heads) bool {
	return a.decode[attendKind{kv.K.Type, h.Dim}] != 0 && bits.OnesCount(uint(kv.PageSize)) == 1
}

// AttendRounds implements backend.AttendRounder: caches of 16 bits go to the matrix unit,
// with weights and, in prefill, queries rounded to the cache's format (f16 is the finer).
func (d *Device) AttendRounds(cache tensor.DType, _ bool) tensor.DType {
	if slices.Contains(attendFormats, cache) {
		return tensor.BF16
	}
	return tensor.F32
}

// attend launches attention for all rows of a batch. Those of either phase go to their room for
// activations in bf16 where the projection that follows wants them there, of the decode phase as fragments, of prompts
// in operand order.
func (d *Device) attend(o *op, leave, leavePrefill bool) {
	h, kv, b := o.heads, o.kv, d.batch.of
	p := attendParams{dst: address(o.dst), qkv: address(o.x), batch: d.batch.params(), cache: cacheOf(kv), heads: headsOf(h)}
	if !d.kern.attention.takes(kv, h) {
		launch(d, d.kern.attend[kv.K.Type], grid(o.dst.Rows, h.Q), 32, &p)
		return
	}
	kind := attendKind{kv.K.Type, h.Dim}
	decode, tiles := p, 0
	if leave {
		tiles = tilesFor(o.dst.Cols)
		decode.dst = d.operandRoom(2, operandBytes(b.Decode, 16*tiles))
		d.operands.left = o.dst.Data
	}
	d.attendDecode(kind, decode, h, b.Decode, tiles, d.shareAt(d.attendanceOf(o)))
	d.attendPrefill(d.kern.attention.prefill[kind], p, h, b, leavePrefill)
}

// attendPrefill launches the kernel for the rows behind those, whose results go in operand order if asked.
func (d *Device) attendPrefill(k prefillKernel, p attendParams, h backend.Heads, b *backend.Batch, leave bool) {
	f, rows, tiles := k.f, prefillRows, d.batch.at.tiles
	if k.wide != 0 && wideTiles(b) {
		f, rows, tiles = k.wide, wideRows, d.batch.at.wide
	}
	n := countTiles(b, rows)
	if n == 0 || d.dead() {
		return
	}
	c := driver.LaunchConfig{Grid: grid(h.Q, n), Block: [3]uint32{uint32(2 * rows)}, Shared: uint32(k.shared), Programmatic: d.programmatic}
	pp := prefillParams{attendParams: p, tiles: d.batch.word(tiles), from: int32(b.Decode)}
	if leave {
		left := b.Rows() - b.Decode
		pp.dst, pp.groups = d.operandRoom(1, operandBytes(left, h.Q*h.Dim)), int32(ceilDiv(left, 8))
		d.operands.packed = true
	}
	d.check(d.drv.Launch(f, d.stream, c, driver.Params(&pp)))
}

// decodeCall is a kernel of the decode phase and how it is launched.
type decodeCall struct {
	f     driver.Function
	c     driver.LaunchConfig
	ranks int // teams that have a part of a row; 0: all share all splits
}

// teams is how many there are in all.
func (c *decodeCall) teams() int { return int(c.c.Grid[0]*c.c.Block[0]) / attendThreads }

// decodeCallFor is that for so many rows. Results of all kernels there are have the same bits.
func (d *Device) decodeCallFor(kind attendKind, h backend.Heads, page, rows int) (call decodeCall) {
	r, s, of := d.kern.attention.rings.of(kind, h, page), decodeShapeOf(h), d.batch.reach
	parts := rows * s.parts
	teams := d.kern.attention.teams(r.ringShape, parts, of)
	switch ranks := d.kern.attention.ranks(parts, s.most, of); {
	case r.teams[teams] != 0:
		call = r.teamsLaunch(h, rows, teams, of)
	case r.cluster != 0 && ranks > 0:
		call = r.clusterLaunch(h, rows, ranks, of)
	case r.f != 0:
		call = decodeCall{f: r.f, c: driver.Blocks(r.blocks*d.blocks, attendThreads)}
		call.c.Shared = uint32(r.shared())
	default:
		call = decodeCall{f: d.kern.attention.decode[kind], c: driver.Blocks(decodeBlocks(h.Dim, d.blocks), attendThreads)}
	}
	call.c.Programmatic = d.programmatic
	return call
}

// attendDecode launches the kernel for the first rows of a batch, as many at once as
// there is room for their splits. Results go as fragments of so many tiles of 16 k, 0:
// as float32. share is where the shares of all blocks lie, 0: they find their own.
func (d *Device) attendDecode(kind attendKind, p attendParams, h backend.Heads, rows, tiles int, share driver.Ptr) {
	if rows == 0 || d.dead() {
		return
	}
	if err := d.roomForSplits(); err != nil {
		d.fail(err)
		return
	}
	s := decodeShapeOf(h)
	most := s.rows(h)
	for at := 0; at < rows && !d.dead(); at += most {
		n := min(most, rows-at)
		call := d.decodeCallFor(kind, h, int(p.cache.size), n)
		dp := d.splits.params(p, s, h, n)
		dp.tiles, dp.from, dp.all = int32(tiles), int32(at), int32(rows)
		dp.around, dp.ranks, dp.share = int32(d.blocks), int32(call.ranks), share
		d.check(d.drv.Launch(call.f, d.stream, call.c, driver.Params(&dp)))
		if tiles == 0 {
			p.dst += driver.Ptr(4 * n * h.Q * h.Dim)
		}
		p.qkv += driver.Ptr(4 * n * (h.Q + 2*h.KV) * h.Dim)
		p.batch.positions += driver.Ptr(4 * n)
		p.batch.tables += driver.Ptr(4 * n)
	}
}

// splitRoom is device memory for the splits of decode rows, allocated at the first.
type splitRoom struct {
	at driver.Ptr // tickets, peaks, sums
}

func (d *Device) roomForSplits() (err error) {
	if d.splits.at != 0 {
		return nil
	}
	p, err := d.alloc(backend.Scratch, ticketBytes+splitBytes+shareBytes)
	if err != nil {
		return err
	}
	d.splits.at = p
	return d.drv.Memset8Async(p, 0, ticketBytes, d.stream)
}

func (r *splitRoom) params(p attendParams, s decodeShape, h backend.Heads, rows int) decodeParams {
	peaks := r.at + ticketBytes
	return decodeParams{
		attendParams: p, tickets: r.at, peaks: peaks, part: peaks + driver.Ptr(8*rows*h.Q*s.most),
		most: int32(s.most), least: int32(s.least), n: int32(rows),
		group: int32(h.Q / h.KV), shares: int32(s.parts / h.KV), shift: int32(bits.TrailingZeros32(uint32(p.cache.size))),
	}
}
