package cuda

import (
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

// loadAttend loads the fast kernels, those for Hopper's matrix unit where the driver
// finds code for it.
func (k *kernels) loadAttend(drv driver.Driver, images map[string]string) error {
	k.decode, k.prefill = map[attendKind]driver.Function{}, map[attendKind]prefillKernel{}
	var modules [3]driver.Module
	for i, name := range []string{"attend_decode", "attend_prefill", "attend_hopper"} {
		var err error
		if modules[i], err = drv.ModuleLoad(images[name]); err != nil {
			return fmt.Errorf("cuda: kernels of %s: %w", name, err)
		}
		k.modules = append(k.modules, modules[i])
	}
	for _, t := range attendFormats {
		for _, dim := range attendDims {
			if err := k.loadAttendKind(drv, modules, attendKind{t, dim}); err != nil {
				return fmt.Errorf("cuda: kernels of attention for %v, heads of %d: %w", t, dim, err)
			}
		}
	}
	return nil
}

// invalidValue is what the driver calls more shared memory than there is (CUresult).
const invalidValue = 1

// loadAttendKind finds the kernels for one kind, unless a block of the device has too
// little shared memory for them.
func (k *kernels) loadAttendKind(drv driver.Driver, modules [3]driver.Module, kind attendKind) error {
	decode, err := drv.ModuleFunction(modules[0], fmt.Sprintf("attend_decode_%v_%d", kind.cache, kind.dim))
	if err != nil {
		return err
	}
	p := prefillKernel{shared: hopperShared(kind.dim)}
	p.f, err = drv.ModuleFunction(modules[2], fmt.Sprintf("attend_hopper_%v_%d", kind.cache, kind.dim))
	if driver.Code(err) == driver.CodeNotFound {
		p.shared = prefillShared(kind.dim)
		p.f, err = drv.ModuleFunction(modules[1], fmt.Sprintf("attend_prefill_%v_%d", kind.cache, kind.dim))
	}
	if err != nil {
		return err
	}
	if wide, err := drv.ModuleFunction(modules[2], fmt.Sprintf("attend_wide_%v_%d", kind.cache, kind.dim)); err == nil {
		if p.wide = wide; drv.SetFunctionAttribute(wide, driver.FunctionMaxShared, p.shared) != nil {
			p.wide = 0
		}
	}
	err = drv.SetFunctionAttribute(p.f, driver.FunctionMaxShared, p.shared)
	if driver.Code(err) == invalidValue {
		return nil
	}
	k.decode[kind], k.prefill[kind] = decode, p
	return err
}

// fastAttend tells whether the fast kernels serve a cache: they find a page by a shift.
func (k *kernels) fastAttend(kv backend.KV, h backend.Heads) bool {
	return k.decode[attendKind{kv.K.Type, h.Dim}] != 0 && bits.OnesCount(uint(kv.PageSize)) == 1
}

// AttendRounds implements backend.AttendRounder: caches of 16 bits go to the matrix unit,
// with weights and, in prefill, queries rounded to the cache's format (f16 is the finer).
func (d *Device) AttendRounds(cache tensor.DType, _ bool) tensor.DType {
	if slices.Contains(attendFormats, cache) {
		return tensor.BF16
	}
	return tensor.F32
}

// Attend implements backend.Ops.
func (d *Device) Attend(dst, qkv backend.Tensor, kv backend.KV, h backend.Heads, b *backend.Batch) {
	d.use(b)
	p := attendParams{dst: address(dst), qkv: address(qkv), batch: d.batch.params(), cache: cacheOf(kv), heads: headsOf(h)}
	if !d.kern.fastAttend(kv, h) {
		launch(d, d.kern.attend[kv.K.Type], grid(b.Rows(), h.Q), 32, &p)
		return
	}
	kind := attendKind{kv.K.Type, h.Dim}
	d.attendDecode(d.kern.decode[kind], p, h, b.Decode)
	d.attendPrefill(d.kern.prefill[kind], p, h, b)
}

// attendPrefill launches the kernel for the rows behind those.
func (d *Device) attendPrefill(k prefillKernel, p attendParams, h backend.Heads, b *backend.Batch) {
	f, rows, tiles := k.f, prefillRows, d.batch.at.tiles
	if k.wide != 0 && wideTiles(b) {
		f, rows, tiles = k.wide, wideRows, d.batch.at.wide
	}
	n := countTiles(b, rows)
	if n == 0 || d.dead() {
		return
	}
	c := driver.LaunchConfig{Grid: grid(h.Q, n), Block: [3]uint32{uint32(2 * rows)}, Shared: uint32(k.shared), Programmatic: d.splits.programmatic}
	pp := prefillParams{p, d.batch.word(tiles)}
	d.check(d.drv.Launch(f, d.stream, c, driver.Params(&pp)))
}

// attendDecode launches the kernel for the first rows of a batch, as many at once as
// there is room for their splits.
func (d *Device) attendDecode(f driver.Function, p attendParams, h backend.Heads, rows int) {
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
		c := driver.LaunchConfig{Grid: grid(decodeBlocks(h.Dim, d.splits.sms), 1), Block: [3]uint32{attendThreads}, Programmatic: d.splits.programmatic}
		dp := d.splits.params(p, s, h, n)
		d.check(d.drv.Launch(f, d.stream, c, driver.Params(&dp)))
		p.dst += driver.Ptr(4 * n * h.Q * h.Dim)
		p.qkv += driver.Ptr(4 * n * (h.Q + 2*h.KV) * h.Dim)
		p.batch.positions += driver.Ptr(4 * n)
		p.batch.tables += driver.Ptr(4 * n)
	}
}

// splitRoom is device memory for the splits of decode rows, allocated at the first.
type splitRoom struct {
	at           driver.Ptr // tickets, peaks, sums
	sms          int        // multiprocessors
	programmatic bool       // launch attention to overlap with the kernel before it
}

func (d *Device) roomForSplits() (err error) {
	if d.splits.at != 0 {
		return nil
	}
	if d.splits.sms, err = d.drv.DeviceAttribute(d.ordinal, driver.Multiprocessors); err != nil {
		return err
	}
	p, err := d.alloc(backend.Scratch, ticketBytes+splitBytes)
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
