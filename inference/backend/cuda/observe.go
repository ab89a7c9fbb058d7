package cuda

import (
	"errors"
	"fmt"
	"os"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/nvml"
)

var _ backend.Observer = (*Device)(nil)

// pageBytes is what the driver hands out physical memory by, on every GPU since
// Volta: an allocation is on whole pages, and small ones share them.
const pageBytes = 2 << 20

// management is what the device asks of the management library.
type management interface {
	ProcessBytes(pid int) (int64, error)
	Health() nvml.Health
}

// Observe implements backend.Observer by the driver's pointer attributes.
func (d *Device) Observe() backend.Observation {
	o := backend.Observation{Index: d.index, Context: d.contextBytes, Graphs: d.graphBytes, Page: pageBytes}
	for _, r := range d.regions {
		p := backend.Placed{Region: r}
		if d.dead() {
			p.Err = d.fault
		} else {
			p.Place, p.Err = d.place(driver.Ptr(r.Addr))
		}
		o.Placed = append(o.Placed, p)
	}
	return o
}

func (d *Device) place(p driver.Ptr) (backend.Place, error) {
	i, err := d.drv.PointerInfo(p)
	if err != nil {
		return backend.Place{}, d.latched(err)
	}
	return backend.Place{
		Device: i.Type == driver.DeviceMemory, Index: i.Device, Managed: i.Managed, Host: i.Host,
		Start: uintptr(i.Start), Bytes: i.Bytes,
	}, nil
}

// Occupied implements backend.Observer.
func (d *Device) Occupied() backend.Occupancy {
	o := backend.Occupancy{Uncorrected: -1, Card: backend.NoCard}
	if o.Process, o.Err = d.processBytes(); o.Err != nil {
		if advice := nvml.Advice(o.Err); advice != "" {
			o.Err = fmt.Errorf("%w: %s", o.Err, advice)
		}
	}
	if d.card == nil {
		return o
	}
	now := d.card.Health()
	o.Card = cardOf(now)
	if now.Uncorrected >= 0 && d.facts.Health.Uncorrected >= 0 {
		o.Uncorrected = max(0, now.Uncorrected-d.facts.Health.Uncorrected)
	}
	return o
}

// cardOf sums the rows that were replaced, for whatever errors.
func cardOf(h nvml.Health) backend.Card {
	c := backend.Card{
		Corrected: h.Corrected, Uncorrected: h.Uncorrected, Remapped: -1, Celsius: h.Celsius, Milliwatts: h.Milliwatts,
	}
	if h.RemapCorrected >= 0 && h.RemapUncorrected >= 0 {
		c.Remapped = h.RemapCorrected + h.RemapUncorrected
	}
	if len(h.Throttled) > 0 {
		c.Throttled = 1
	}
	return c
}

func (d *Device) processBytes() (int64, error) {
	if d.card == nil {
		return 0, errors.New("the management library was not asked for this device")
	}
	return d.card.ProcessBytes(os.Getpid())
}

// measured returns by how much do has this process take more of the device, 0 where
// that is not known: then it shows as unexplained.
func (d *Device) measured(do func() error) (int64, error) {
	before, err1 := d.processBytes()
	err := do()
	after, err2 := d.processBytes()
	if err1 != nil || err2 != nil {
		return 0, err
	}
	return after - before, err
}
