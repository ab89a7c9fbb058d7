package driver

// Injector is a driver that fails on command, for drills: before each call Fail is
// asked with the name of the method, and an error is the call's answer instead of
// what the driver would say. NewError makes those that a driver could give.
//
// A drill that also wants to see the calls, to fail the n-th or after a launch,
// counts them in Fail.
type Injector struct {
	Driver
	Fail func(method string) error
}

var _ Driver = (*Injector)(nil)

func (i *Injector) Version() (int, error) {
	if err := i.Fail("Version"); err != nil {
		return 0, err
	}
	return i.Driver.Version()
}

func (i *Injector) DeviceCount() (int, error) {
	if err := i.Fail("DeviceCount"); err != nil {
		return 0, err
	}
	return i.Driver.DeviceCount()
}

func (i *Injector) DeviceName(device int) (string, error) {
	if err := i.Fail("DeviceName"); err != nil {
		return "", err
	}
	return i.Driver.DeviceName(device)
}

func (i *Injector) DeviceUUID(device int) (UUID, error) {
	if err := i.Fail("DeviceUUID"); err != nil {
		return UUID{}, err
	}
	return i.Driver.DeviceUUID(device)
}

func (i *Injector) DeviceBytes(device int) (int64, error) {
	if err := i.Fail("DeviceBytes"); err != nil {
		return 0, err
	}
	return i.Driver.DeviceBytes(device)
}

func (i *Injector) DeviceAttribute(device int, a Attribute) (int, error) {
	if err := i.Fail("DeviceAttribute"); err != nil {
		return 0, err
	}
	return i.Driver.DeviceAttribute(device, a)
}

func (i *Injector) RetainPrimary(device int, flags ContextFlags) (Context, error) {
	if err := i.Fail("RetainPrimary"); err != nil {
		return 0, err
	}
	return i.Driver.RetainPrimary(device, flags)
}

func (i *Injector) ReleasePrimary(device int) error {
	if err := i.Fail("ReleasePrimary"); err != nil {
		return err
	}
	return i.Driver.ReleasePrimary(device)
}

func (i *Injector) SetCurrent(c Context) error {
	if err := i.Fail("SetCurrent"); err != nil {
		return err
	}
	return i.Driver.SetCurrent(c)
}

func (i *Injector) Synchronize() error {
	if err := i.Fail("Synchronize"); err != nil {
		return err
	}
	return i.Driver.Synchronize()
}

func (i *Injector) MemInfo() (free, total int64, err error) {
	if err := i.Fail("MemInfo"); err != nil {
		return 0, 0, err
	}
	return i.Driver.MemInfo()
}

func (i *Injector) MemAlloc(bytes int64) (Ptr, error) {
	if err := i.Fail("MemAlloc"); err != nil {
		return 0, err
	}
	return i.Driver.MemAlloc(bytes)
}

func (i *Injector) MemFree(p Ptr) error {
	if err := i.Fail("MemFree"); err != nil {
		return err
	}
	return i.Driver.MemFree(p)
}

func (i *Injector) PointerInfo(p Ptr) (PointerInfo, error) {
	if err := i.Fail("PointerInfo"); err != nil {
		return PointerInfo{}, err
	}
	return i.Driver.PointerInfo(p)
}

func (i *Injector) HostAlloc(bytes int64) (Pinned, error) {
	if err := i.Fail("HostAlloc"); err != nil {
		return Pinned{}, err
	}
	return i.Driver.HostAlloc(bytes)
}

func (i *Injector) HostFree(p Pinned) error {
	if err := i.Fail("HostFree"); err != nil {
		return err
	}
	return i.Driver.HostFree(p)
}

func (i *Injector) CopyHtoD(dst Ptr, src []byte) error {
	if err := i.Fail("CopyHtoD"); err != nil {
		return err
	}
	return i.Driver.CopyHtoD(dst, src)
}

func (i *Injector) CopyDtoH(dst []byte, src Ptr) error {
	if err := i.Fail("CopyDtoH"); err != nil {
		return err
	}
	return i.Driver.CopyDtoH(dst, src)
}

func (i *Injector) CopyHtoDAsync(dst Ptr, src []byte, s Stream) error {
	if err := i.Fail("CopyHtoDAsync"); err != nil {
		return err
	}
	return i.Driver.CopyHtoDAsync(dst, src, s)
}

func (i *Injector) CopyDtoDAsync(dst, src Ptr, bytes int64, s Stream) error {
	if err := i.Fail("CopyDtoDAsync"); err != nil {
		return err
	}
	return i.Driver.CopyDtoDAsync(dst, src, bytes, s)
}

func (i *Injector) Memset8Async(dst Ptr, value byte, bytes int64, s Stream) error {
	if err := i.Fail("Memset8Async"); err != nil {
		return err
	}
	return i.Driver.Memset8Async(dst, value, bytes, s)
}

func (i *Injector) Memset32Async(dst Ptr, value uint32, words int64, s Stream) error {
	if err := i.Fail("Memset32Async"); err != nil {
		return err
	}
	return i.Driver.Memset32Async(dst, value, words, s)
}
