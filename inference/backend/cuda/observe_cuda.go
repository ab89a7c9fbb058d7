//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"os"

	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/nvml"
)

// observe looks at the host and makes no context. d is nil where there is no
// driver.
func observe() (f Facts, d *driver.CUDA, err error) {
	if f.Build, err = ParseBuild(buildText); err != nil {
		return f, nil, err
	}
	f.Visible, f.VisibleSet = os.LookupEnv("CUDA_VISIBLE_DEVICES")
	if d, f.DriverErr = driver.Open(); f.DriverErr != nil {
		return f, nil, nil
	}
	if f.Version, err = d.Version(); err != nil {
		return f, d, err
	}
	n, err := d.DeviceCount()
	if err != nil {
		return f, d, err
	}
	cards, nvmlErr := nvml.Open()
	if f.NVMLErr = nvmlErr; nvmlErr == nil {
		defer cards.Close()
	}
	for i := range n {
		device, err := observeDevice(d, i)
		if err != nil {
			return f, d, fmt.Errorf("cuda:%d: %w", i, err)
		}
		if nvmlErr == nil {
			device.observeCard(cards, busID(d, i))
		}
		f.Devices = append(f.Devices, device)
	}
	return f, d, nil
}

func observeDevice(d driver.Driver, i int) (DeviceFacts, error) {
	f := DeviceFacts{Free: -1, Health: nvml.Health{Corrected: -1, Uncorrected: -1}}
	var errs [7]error
	var major, minor int
	f.Name, errs[0] = d.DeviceName(i)
	f.UUID, errs[1] = d.DeviceUUID(i)
	f.Total, errs[2] = d.DeviceBytes(i)
	major, errs[3] = d.DeviceAttribute(i, driver.CapabilityMajor)
	minor, errs[4] = d.DeviceAttribute(i, driver.CapabilityMinor)
	f.ComputeMode, errs[5] = d.DeviceAttribute(i, driver.ComputeMode)
	f.Shared, errs[6] = d.DeviceAttribute(i, driver.SharedPerBlockOptIn)
	f.Capability = 10*major + minor
	return f, errors.Join(errs[:]...)
}

// busID is where NVML finds a device whose UUID it does not know; "" if the
// driver does not say.
func busID(d driver.Driver, i int) string {
	domain, err1 := d.DeviceAttribute(i, driver.PCIDomain)
	bus, err2 := d.DeviceAttribute(i, driver.PCIBus)
	device, err3 := d.DeviceAttribute(i, driver.PCIDevice)
	if errors.Join(err1, err2, err3) != nil {
		return ""
	}
	return fmt.Sprintf("%08x:%02x:%02x.0", domain, bus, device)
}

func (f *DeviceFacts) observeCard(cards nvml.Reader, bus string) {
	c, err := cards.Find(f.UUID.String(), bus)
	if err != nil {
		f.CardErr = err
		return
	}
	m, err := c.Memory()
	if err != nil {
		f.CardErr = err
		return
	}
	f.Free = m.Free
	f.MIG, f.CardErr = c.MIG()
	f.Health = c.Health()
}

// observeHost is observe with what doctor shows besides.
func observeHost() (Host, error) {
	f, d, err := observe()
	h := Host{Facts: f}
	if err != nil {
		return h, err
	}
	if d != nil {
		h.Lacking = d.Lacking
	}
	if cards, err := nvml.Open(); err == nil {
		h.DriverName, _ = cards.Driver() // it is only shown
		_ = cards.Close()
	}
	return h, nil
}
