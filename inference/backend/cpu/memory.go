package cpu

// #include "llo.h"
import "C"

import (
	"fmt"
	"math"
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// block is memory of our own.
type block struct {
	use   backend.Use
	addr  unsafe.Pointer
	bytes int64
}

// memory keeps the account of what Alloc and Place gave.
type memory struct {
	own    []block
	placed []backend.Region
	hosts  [][]byte // keeps placed bytes alive where they are Go's
}

// scratchHuge is from where on scratch has huge pages. They take the kernel long to find and to clear, longest
// in a virtual machine whose host has yet to back them, and a start waits for that: on one, clearing the caches
// and activations of a start, 108 MB, took 112 ms with them and 14 without. Prompts are as fast without.
const scratchHuge = 64 << 20

// mapBlock maps zeroed, resident memory.
func mapBlock(use backend.Use, bytes int64) (block, error) {
	huge := C.int(0)
	if use != backend.Scratch || bytes >= scratchHuge {
		huge = 1
	}
	addr, err := C.llo_map(C.int64_t(bytes), huge)
	if addr == nil {
		return block{}, fmt.Errorf("cpu: %d bytes for %v: %w (%v)", bytes, use, backend.ErrMemory, err)
	}
	return block{use, addr, bytes}, nil
}

func (b *block) unmap() {
	if b.addr != nil {
		C.llo_unmap(b.addr, C.int64_t(b.bytes))
	}
	*b = block{}
}

// Alloc maps memory on pages of its own.
func (d *Device) Alloc(use backend.Use, t tensor.DType, rows, cols int) (backend.Tensor, error) {
	if rows < 1 || cols < 1 || rows > math.MaxInt/8/cols {
		return backend.Tensor{}, fmt.Errorf("cpu: %v[%d×%d] for %v: %w", t, rows, cols, use, backend.ErrMemory)
	}
	b, err := mapBlock(use, int64(rows)*int64(t.RowBytes(cols)))
	if err != nil {
		return backend.Tensor{}, err
	}
	d.own = append(d.own, b)
	m := backend.Tensor{Type: t, Rows: rows, Cols: cols, Data: b.addr}
	return m, d.reserve(use, m)
}

// Place computes from host in place. host must stay valid and unmoved until
// Close: a mapping, or memory of Go's heap, which the device then keeps alive.
func (d *Device) Place(t tensor.DType, rows, cols int, host []byte) (backend.Tensor, error) {
	if len(host) == 0 || len(host) != rows*t.RowBytes(cols) {
		return backend.Tensor{}, fmt.Errorf("cpu: place %v[%d×%d]: %d bytes, want %d", t, rows, cols, len(host), rows*t.RowBytes(cols))
	}
	p := unsafe.Pointer(unsafe.SliceData(host))
	if C.llo_guard_add(d.guard, p, C.int64_t(len(host))) != 0 {
		return backend.Tensor{}, fmt.Errorf("cpu: place %d bytes: %w", len(host), backend.ErrMemory)
	}
	d.hosts = append(d.hosts, host)
	d.met.note(t, rows, cols)
	d.placed = append(d.placed, backend.Region{Use: backend.Weights, Addr: uintptr(p), Bytes: int64(len(host))})
	return backend.Tensor{Type: t, Rows: rows, Cols: cols, Data: p}, nil
}

// Upload copies at once, after what is recorded.
func (d *Device) Upload(t backend.Tensor, host []byte) {
	d.flush()
	copy(t.Host(), host)
}

// Download runs what is recorded and copies at once.
func (d *Device) Download(host []byte, t backend.Tensor) {
	d.flush()
	copy(host, t.Host())
}

// Held returns the bytes of each class; the plan's own count as scratch.
func (d *Device) Held() map[backend.Use]int64 {
	held := map[backend.Use]int64{}
	for _, r := range d.Regions() {
		held[r.Use] += r.Bytes
	}
	return held
}

// Regions lists placed weights, then memory of our own.
func (d *Device) Regions() []backend.Region {
	all := append([]backend.Region(nil), d.placed...)
	for _, blocks := range [][]block{d.own, d.plan.blocks()} {
		for _, b := range blocks {
			all = append(all, backend.Region{Use: b.use, Addr: uintptr(b.addr), Bytes: b.bytes})
		}
	}
	return all
}

// locate names the placed range of an address that was lost.
func (d *Device) locate(addr uintptr) string {
	for i, r := range d.placed {
		if addr >= r.Addr && addr < r.Addr+uintptr(r.Bytes) {
			return fmt.Sprintf("a mapped file lost its bytes: address %#x, byte %d of the %d bytes of placed weight %d at %#x; was the file truncated or its disk removed?",
				addr, addr-r.Addr, r.Bytes, i, r.Addr)
		}
	}
	return fmt.Sprintf("a mapped file lost its bytes at address %#x", addr)
}

func (m *memory) free() {
	for i := range m.own {
		m.own[i].unmap()
	}
	*m = memory{}
}
