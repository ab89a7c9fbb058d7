package drivertest

import (
	"fmt"
	"slices"
	"sync"

	"llorch/inference/backend/cuda/driver"
)

// Fake is a driver without a GPU, for tests of who calls it: memory is there and can
// be copied, a launch does nothing. It keeps account of what was made and not given
// back (Left), and of calls that a driver would not survive (Wrong).
type Fake struct {
	Capacity int64                                       // of device memory, in bytes; 0 = no bound
	Where    func(driver.PointerInfo) driver.PointerInfo // what PointerInfo says instead; nil = the truth

	mu      sync.Mutex
	used    int64
	memory  map[driver.Ptr][]byte
	pinned  map[*byte]bool
	handles map[uintptr]string // streams, events, modules, graphs
	next    uintptr
	wrong   []string
}

var _ driver.Driver = (*Fake)(nil)

// firstAddress is of the fake's device memory: far from anything that is mapped, so
// that using one on the host is found out.
const firstAddress = 1 << 45

// NewFake is a driver with one device.
func NewFake() *Fake {
	return &Fake{memory: map[driver.Ptr][]byte{}, pinned: map[*byte]bool{}, handles: map[uintptr]string{}, next: 1}
}

// Left lists what was made and not given back.
func (f *Fake) Left() (all []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, b := range f.memory {
		all = append(all, fmt.Sprintf("%d bytes at %#x", len(b), p))
	}
	for range f.pinned {
		all = append(all, "pinned memory")
	}
	for _, kind := range f.handles {
		all = append(all, kind)
	}
	slices.Sort(all)
	return all
}

// Wrong lists the calls with handles and addresses that were not theirs.
func (f *Fake) Wrong() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.wrong)
}

// Used is the device memory that is allocated, in bytes.
func (f *Fake) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used
}

// fault notes a call that was wrong. f.mu is held.
func (f *Fake) fault(call, format string, args ...any) error {
	f.wrong = append(f.wrong, call+": "+fmt.Sprintf(format, args...))
	return driver.NewError(call, driver.CodeIllegalAddress)
}

func (f *Fake) make(kind string) uintptr {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	f.handles[f.next] = kind
	return f.next
}

func (f *Fake) drop(call string, h uintptr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.handles[h]; !ok {
		return f.fault(call, "%d is no handle", h)
	}
	delete(f.handles, h)
	return nil
}

// has checks handles that a call uses; 0 is the default stream.
func (f *Fake) has(call string, all ...uintptr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range all {
		if _, ok := f.handles[h]; !ok && h != 0 {
			return f.fault(call, "%d is no handle", h)
		}
	}
	return nil
}

// at is the memory from p on, within its allocation. f.mu is held.
func (f *Fake) at(p driver.Ptr, n int) ([]byte, error) {
	for start, b := range f.memory {
		if p >= start && p+driver.Ptr(n) <= start+driver.Ptr(len(b)) {
			return b[p-start:][:n], nil
		}
	}
	return nil, f.fault("copy", "%d bytes at %#x are not allocated", n, p)
}
