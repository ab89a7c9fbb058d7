package residency

import (
	"errors"
	"fmt"
)

// Classes of memory that only a device with memory of its own has.
const (
	Graphs      = "graphs"      // recorded steps
	Context     = "context"     // the driver's for this process: code, stacks, queues
	Padding     = "padding"     // rests of pages that nothing else is on
	Unexplained = "unexplained" // by the management library and by nobody else; below zero: too much is explained
)

// Place is what a device's driver says of an address.
type Place struct {
	Device  bool    // in memory of a device
	Index   int     // of which
	Managed bool    // moves between host and device
	Host    uintptr // the address a host program reads it by; 0 = it cannot
	Start   uintptr // of the allocation that holds it
	Bytes   int64   // of that allocation
	Err     error   // the driver did not say
}

// Device is what was observed of a device's memory at one time. Sizes are bytes.
type Device struct {
	Index           int
	Claims          []Claim
	Places          []Place // of each claim
	Context, Graphs int64   // measured
	Page            int64   // what physical memory is handed out by; 0 = not known
	Process         int64   // all of this process, by the management library
	ProcessErr      error   // why that is not known
	Uncorrected     int64   // errors of the memory that could not be corrected since loading began
}

// VerifyDevice judges what was observed of a device: each claim by what the driver says of its address, and their sum by
// what the management library counts. What nobody explains may be 2 % of that, or 64 MiB.
func VerifyDevice(d Device) Report {
	obs := make([]Observation, 0, len(d.Claims))
	for i, c := range d.Claims {
		if i < len(d.Places) {
			n, err := d.Places[i].holds(c, d.Index)
			obs = append(obs, Observation{Claim: c, Resident: n, Err: err})
		}
	}
	r := Verify(d.Claims, obs)
	r.Doubt = errors.Join(d.explain(&r), d.damage())
	r.Resident = r.Resident && r.Doubt == nil
	return r
}

// holds returns how many bytes of a claim are where they must be: in plain memory of the device.
func (p Place) holds(c Claim, index int) (int64, error) {
	switch {
	case p.Err != nil:
		return 0, p.Err
	case p.Managed:
		return 0, errors.New("the driver says that it is managed memory, which moves between host and device")
	case !p.Device:
		return 0, errors.New("the driver says that it is not memory of a device")
	case p.Host != 0:
		return 0, errors.New("the driver says that a host program can read it")
	case p.Index != index:
		return 0, fmt.Errorf("the driver says that it is on device %d, not %d", p.Index, index)
	case c.Addr < p.Start:
		return 0, errors.New("the driver says that it begins before its allocation")
	}
	// Of an allocation that is too short, the rest is missing.
	return min(c.Bytes, max(0, p.Bytes-int64(c.Addr-p.Start))), nil
}

// explain adds the classes that are not claimed, and tells whether the sum is what the management library counts.
func (d Device) explain(r *Report) error {
	r.Held[Context], r.Held[Graphs] = d.Context, d.Graphs
	if d.Page > 0 {
		r.Held[Padding] = padding(d.Claims, d.Page)
	}
	if d.ProcessErr != nil {
		return fmt.Errorf("the device memory of this process is not known: %w", d.ProcessErr)
	}
	r.Process = d.Process
	rest := d.Process
	for _, n := range r.Held {
		rest -= n
	}
	r.Held[Unexplained] = rest
	if allowed := max(d.Process/50, 64<<20); rest > allowed || rest < -allowed {
		return fmt.Errorf("%d bytes of device memory are of this process and %d of them are explained: the difference, %d, is more than %d",
			d.Process, d.Process-rest, rest, allowed)
	}
	return nil
}

func (d Device) damage() error {
	if d.Uncorrected <= 0 {
		return nil
	}
	return fmt.Errorf("%d errors of the device's memory could not be corrected since the model was loaded: what it holds cannot be relied on; "+
		"reset the GPU when it is free", d.Uncorrected)
}

// padding is what of the pages that claims lie on is of no claim.
func padding(claims []Claim, page int64) int64 {
	var n int64
	for _, s := range pageSpans(claims, int(page)) {
		n += s.bytes()
	}
	for _, c := range claims {
		n -= max(0, c.Bytes)
	}
	return n
}
