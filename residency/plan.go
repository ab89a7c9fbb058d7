package residency

import (
	"cmp"
	"fmt"
	"math"
)

// Need is what a worker is about to take, in bytes, by class. It is growth: what the process holds already is missing
// from the available figures and must not be named here again.
type Need struct {
	Weights int64 // the file mapping, whole, cached or not (see the package comment)
	Cache   int64 // KV pages
	Scratch int64 // activations, logits, staging
	Driver  int64 // of a device with memory of its own: context, graphs, and what is taken for a while
	Process int64 // tokenizer, goroutines, buffers of requests
}

// Total is the sum; an impossible figure (below zero, or a sum beyond int64) is an error, since the parts come from
// numbers in a model's files.
func (n Need) Total() (int64, error) {
	var sum int64
	for _, part := range []int64{n.Weights, n.Cache, n.Scratch, n.Driver, n.Process} {
		if part < 0 || sum > math.MaxInt64-part {
			return 0, fmt.Errorf("residency: the memory need %+v is not a possible size", n)
		}
		sum += part
	}
	return sum, nil
}

// Host is the memory a worker may draw on.
type Host struct {
	Total     int64   // of the machine
	Available int64   // without swapping, by the kernel's own estimate (MemAvailable)
	Groups    []Group // control groups with a limit, innermost first
	Name      string  // what this memory is, in words; "" = memory of the host. A device with its own is a Host here, too
}

// Group is one control group that limits this process.
type Group struct {
	Path        string // of its folder
	Limit       int64
	Used        int64 // page cache included
	Reclaimable int64 // file pages within Used
}

// Free is what may still be taken before the kernel has nothing of this group left to reclaim; 0 at least.
func (g Group) Free() int64 { return max(0, g.Limit-g.Used+min(g.Reclaimable, g.Used)) }

// Free is what a worker may take, and which bound decides it.
func (h Host) Free() (free int64, bound string) {
	free, bound = h.Available, cmp.Or(h.Name, "memory of the host")
	for _, g := range h.Groups {
		if f := g.Free(); f < free {
			free, bound = f, "limit of control group "+g.Path
		}
	}
	return free, bound
}

// Forecast is a plan that fits.
type Forecast struct {
	Need      Need
	Required  int64 // Need.Total
	Available int64
	Spare     int64  // Available − Required: what a KV cache sized automatically may still take
	Bound     string // what Available is bound by
}

// ShortfallError says that a model does not fit. The program ends with status 1 on it.
type ShortfallError struct {
	Need                Need
	Required, Available int64
	Bound               string
	Device, Model       string
}

// parts names what is needed, where it is more than nothing or every plan has it.
func (n Need) parts() string {
	text := fmt.Sprintf("weights %d, cache %d, scratch %d", n.Weights, n.Cache, n.Scratch)
	if n.Driver > 0 {
		text += fmt.Sprintf(", driver %d", n.Driver)
	}
	if n.Process > 0 || n.Driver == 0 {
		text += fmt.Sprintf(", process %d", n.Process)
	}
	return text
}

func (e *ShortfallError) Error() string {
	return fmt.Sprintf("residency: %s does not fit on %s: required %d bytes (%s), "+
		"available %d bytes (%s), short of %d: free memory, raise the limit, lower --kv-cache-mb or choose a smaller model",
		e.Model, e.Device, e.Required, e.Need.parts(), e.Available, e.Bound, e.Required-e.Available)
}

// Plan decides, before anything is touched, whether need fits into what is available. The error is a *ShortfallError
// naming device and model, or says that a figure of need is impossible.
func Plan(need Need, have Host, device, model string) (Forecast, error) {
	required, err := need.Total()
	if err != nil {
		return Forecast{}, fmt.Errorf("%w (model %s, device %s)", err, model, device)
	}
	available, bound := have.Free()
	if required > available {
		return Forecast{}, &ShortfallError{
			Need: need, Required: required, Available: available, Bound: bound, Device: device, Model: model,
		}
	}
	return Forecast{Need: need, Required: required, Available: available, Spare: available - required, Bound: bound}, nil
}
