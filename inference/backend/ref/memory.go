package ref

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// memory is the account of what was allocated and placed. What it allocates is
// mapped outside the Go heap: a cache of gigabytes must not move the collector's
// goal, and Close really gives it back.
type memory struct {
	regions []backend.Region
	mapped  [][]byte // of Alloc, to unmap
}

// Alloc maps zeroed pages and touches each of them.
func (m *memory) Alloc(use backend.Use, t tensor.DType, rows, cols int) (backend.Tensor, error) {
	out := backend.Tensor{Type: t, Rows: rows, Cols: cols}
	buf, err := unix.Mmap(-1, 0, out.Bytes(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if errors.Is(err, unix.ENOMEM) {
		err = backend.ErrMemory
	}
	if err != nil {
		return backend.Tensor{}, fmt.Errorf("ref: %v of %s (%d bytes): %w", out, use, out.Bytes(), err)
	}
	for i := 0; i < len(buf); i += os.Getpagesize() {
		buf[i] = 0
	}
	m.mapped = append(m.mapped, buf)
	out.Data = unsafe.Pointer(&buf[0])
	m.add(use, out)
	return out, nil
}

// Place uses host in place.
func (m *memory) Place(t tensor.DType, rows, cols int, host []byte) (backend.Tensor, error) {
	out := backend.Tensor{Type: t, Rows: rows, Cols: cols, Data: unsafe.Pointer(&host[0])}
	m.add(backend.Weights, out)
	return out, nil
}

func (m *memory) add(use backend.Use, t backend.Tensor) {
	m.regions = append(m.regions, backend.Region{Use: use, Addr: uintptr(t.Data), Bytes: int64(t.Bytes())})
}

// Held returns the bytes allocated and placed.
func (m *memory) Held() map[backend.Use]int64 {
	held := map[backend.Use]int64{}
	for _, r := range m.regions {
		held[r.Use] += r.Bytes
	}
	return held
}

// Regions returns what was allocated and placed, in that order.
func (m *memory) Regions() []backend.Region { return append([]backend.Region(nil), m.regions...) }

// owner names what lies at an address.
func (m *memory) owner(addr uintptr) string {
	for _, r := range m.regions {
		if addr >= r.Addr && addr-r.Addr < uintptr(r.Bytes) {
			return r.Use.String()
		}
	}
	return "memory"
}

// Close unmaps what Alloc gave; placed memory belongs to its owner.
func (m *memory) Close() error {
	var errs []error
	for _, buf := range m.mapped {
		errs = append(errs, unix.Munmap(buf))
	}
	m.mapped, m.regions = nil, nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ref: close: %w", err)
	}
	return nil
}

// Upload copies host to t.
func (d *Device) Upload(t backend.Tensor, host []byte) {
	d.each("Upload", 1, func(*worker, int) { copy(t.Host(), host) })
}

// Download copies t to host.
func (d *Device) Download(host []byte, t backend.Tensor) {
	d.each("Download", 1, func(*worker, int) { copy(host, t.Host()) })
}
