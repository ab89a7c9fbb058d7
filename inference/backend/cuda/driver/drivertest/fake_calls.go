package drivertest

import (
	"unsafe"

	"llorch/inference/backend/cuda/driver"
)

func (f *Fake) Version() (int, error)               { return 13000, nil }
func (f *Fake) DeviceCount() (int, error)           { return 1, nil }
func (f *Fake) DeviceName(int) (string, error)      { return "Fake", nil }
func (f *Fake) DeviceUUID(int) (driver.UUID, error) { return driver.UUID{1}, nil }
func (f *Fake) DeviceBytes(int) (int64, error)      { return f.Capacity, nil }

func (f *Fake) DeviceAttribute(_ int, a driver.Attribute) (int, error) {
	return map[driver.Attribute]int{driver.Multiprocessors: 132, driver.CapabilityMajor: 9}[a], nil
}

func (f *Fake) RetainPrimary(int, driver.ContextFlags) (driver.Context, error) {
	return driver.Context(f.make("context")), nil
}
func (f *Fake) ReleasePrimary(int) error        { return nil }
func (f *Fake) SetCurrent(driver.Context) error { return nil }
func (f *Fake) Synchronize() error              { return nil }

func (f *Fake) MemInfo() (free, total int64, err error) {
	return f.Capacity - f.Used(), f.Capacity, nil
}

func (f *Fake) MemAlloc(bytes int64) (driver.Ptr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if bytes <= 0 {
		return 0, f.fault("MemAlloc", "%d bytes", bytes)
	}
	if f.Capacity > 0 && f.used+bytes > f.Capacity {
		return 0, driver.NewError("MemAlloc", driver.CodeOutOfMemory)
	}
	f.used += bytes
	p := driver.Ptr(firstAddress + (f.next+255)&^255)
	f.next += uintptr(bytes+1023) &^ 255 // with a gap, so that running over an end is found out
	f.memory[p] = make([]byte, bytes)
	return p, nil
}

func (f *Fake) MemFree(p driver.Ptr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.memory[p]
	if !ok {
		return f.fault("MemFree", "%#x is no allocation", p)
	}
	f.used -= int64(len(b))
	delete(f.memory, p)
	return nil
}

func (f *Fake) PointerInfo(p driver.Ptr) (driver.PointerInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var i driver.PointerInfo
	for start, b := range f.memory {
		if p >= start && p < start+driver.Ptr(len(b)) {
			i = driver.PointerInfo{Type: driver.DeviceMemory, Start: start, Bytes: int64(len(b))}
		}
	}
	if f.Where != nil {
		i = f.Where(i)
	}
	return i, nil
}

func (f *Fake) HostAlloc(bytes int64) (driver.Pinned, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := driver.Pinned{Bytes: make([]byte, bytes)}
	f.pinned[unsafe.SliceData(p.Bytes)] = true
	return p, nil
}

func (f *Fake) HostFree(p driver.Pinned) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.pinned[unsafe.SliceData(p.Bytes)] {
		return f.fault("HostFree", "not pinned")
	}
	delete(f.pinned, unsafe.SliceData(p.Bytes))
	return nil
}

func (f *Fake) CopyHtoD(dst driver.Ptr, src []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.at(dst, len(src))
	copy(b, src)
	return err
}

func (f *Fake) CopyDtoH(dst []byte, src driver.Ptr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.at(src, len(dst))
	copy(dst, b)
	return err
}

func (f *Fake) CopyHtoDAsync(dst driver.Ptr, src []byte, _ driver.Stream) error {
	return f.CopyHtoD(dst, src)
}

func (f *Fake) CopyDtoDAsync(dst, src driver.Ptr, bytes int64, _ driver.Stream) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, err := f.at(src, int(bytes))
	if err != nil {
		return err
	}
	to, err := f.at(dst, int(bytes))
	copy(to, from)
	return err
}

func (f *Fake) Memset8Async(dst driver.Ptr, value byte, bytes int64, _ driver.Stream) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.at(dst, int(bytes))
	for i := range b {
		b[i] = value
	}
	return err
}

func (f *Fake) Memset32Async(dst driver.Ptr, _ uint32, words int64, _ driver.Stream) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.at(dst, int(4*words))
	return err
}
