package cuda

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// memory is the account of what lies in device memory: plain allocations, one for
// each tensor, and nothing else.
type memory struct {
	drv     driver.Driver
	regions []backend.Region
}

// alloc returns memory of the device, whatever is in it.
func (m *memory) alloc(use backend.Use, bytes int64) (driver.Ptr, error) {
	p, err := m.drv.MemAlloc(bytes)
	if err != nil {
		return 0, fmt.Errorf("cuda: %d bytes of %s: %w", bytes, use, named(err))
	}
	m.regions = append(m.regions, backend.Region{Use: use, Addr: uintptr(p), Bytes: bytes})
	return p, nil
}

// release gives memory of alloc back.
func (m *memory) release(p driver.Ptr) error {
	m.regions = slices.DeleteFunc(m.regions, func(r backend.Region) bool { return r.Addr == uintptr(p) })
	return m.drv.MemFree(p)
}

// Alloc implements backend.Memory.
func (d *Device) Alloc(use backend.Use, t tensor.DType, rows, cols int) (backend.Tensor, error) {
	out := backend.Tensor{Type: t, Rows: rows, Cols: cols}
	p, err := d.alloc(use, d.roomFor(use, out))
	if err != nil {
		return backend.Tensor{}, d.latched(err)
	}
	d.check(d.drv.Memset8Async(p, 0, int64(out.Bytes()), d.stream))
	out.Data = pointer(p)
	d.note(use, out)
	return out, nil
}

// Place copies a weight to the device. It is there when Place returns.
func (d *Device) Place(t tensor.DType, rows, cols int, host []byte) (backend.Tensor, error) {
	out := backend.Tensor{Type: t, Rows: rows, Cols: cols}
	p, err := d.alloc(backend.Weights, d.roomFor(backend.Weights, out))
	if err != nil {
		return backend.Tensor{}, d.latched(err)
	}
	if err := d.loader.copy(p, host); err != nil {
		return backend.Tensor{}, d.latched(fmt.Errorf("cuda: copy of %v: %w", out, err))
	}
	out.Data = pointer(p)
	d.note(backend.Weights, out)
	return out, nil
}

// roomFor is what is allocated for a tensor: weights that the matrix unit may multiply
// have room for the padding of fragment order, so that they can be laid out in place.
func (d *Device) roomFor(use backend.Use, t backend.Tensor) int64 {
	if use != backend.Weights {
		return int64(t.Bytes())
	}
	return takes(t.Type, t.Rows, t.Cols)
}

func (d *Device) note(use backend.Use, t backend.Tensor) {
	if use == backend.Scratch {
		d.mostScratch = max(d.mostScratch, t.Rows*t.Cols)
	}
	if packable(use, t.Type, t.Rows, t.Cols) {
		d.sizes[t.Data] = [2]int{t.Rows, t.Cols}
	}
}

// Upload copies host to t, in the order of the ops.
func (d *Device) Upload(t backend.Tensor, host []byte) {
	d.flush()
	if d.broken() {
		return
	}
	d.check(d.drv.StreamSynchronize(d.stream))
	d.check(d.drv.CopyHtoD(address(t), host))
	d.check(d.drv.Synchronize()) // the copy may be on its way yet, and the stream does not wait for it
}

// Download copies t to host, in the order of the ops: there after Sync.
func (d *Device) Download(host []byte, t backend.Tensor) {
	d.flush()
	if d.broken() {
		return
	}
	d.check(d.drv.StreamSynchronize(d.stream))
	d.check(d.drv.CopyDtoH(host, address(t)))
}

// Held returns the bytes allocated, by class.
func (m *memory) Held() map[backend.Use]int64 {
	held := map[backend.Use]int64{}
	for _, r := range m.regions {
		held[r.Use] += r.Bytes
	}
	return held
}

// Regions returns where they are, as addresses of the device.
func (m *memory) Regions() []backend.Region { return slices.Clone(m.regions) }

func (m *memory) free() error {
	var errs []error
	for _, r := range m.regions {
		errs = append(errs, m.drv.MemFree(driver.Ptr(r.Addr)))
	}
	m.regions = nil
	return errors.Join(errs...)
}

// A device address as a tensor has it. It is no address of Go's.
func pointer(p driver.Ptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

func address(t backend.Tensor) driver.Ptr { return driver.Ptr(uintptr(t.Data)) }
