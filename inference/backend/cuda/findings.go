package cuda

import (
	"fmt"
	"strings"

	"llorch/inference/backend"
)

// Host is what doctor shows of CUDA: the facts that decide, and what is only told.
type Host struct {
	Facts
	DriverName string // version of the driver package, 580.65.06, by NVML
	Lacking    int    // functions of the headers that the driver has not
}

// Findings puts a host into words. Only what keeps device index from being used
// is bad.
func (h Host) Findings(index int) []backend.Finding {
	all := []backend.Finding{h.driverFinding()}
	if all[0].Grade == backend.Bad {
		return all
	}
	if err := h.checkIndex(index); err != nil {
		all = append(all, backend.Finding{Subject: "device cuda", Grade: backend.Bad, Text: err.Error()})
	}
	for i := range h.Devices {
		all = append(all, h.deviceFindings(i, i == index)...)
	}
	return all
}

func (h Host) driverFinding() backend.Finding {
	f := backend.Finding{Subject: "cuda driver", Grade: backend.Good}
	for _, err := range []error{h.checkDriver(), h.checkVersionIfThere()} {
		if err != nil {
			f.Grade, f.Text = backend.Bad, err.Error()
			return f
		}
	}
	name := h.DriverName
	if name == "" {
		name = "of unknown version"
	}
	f.Text = fmt.Sprintf("%s, serves CUDA %d.%d; kernels built with CUDA %d.%d for %v", name, h.Version/1000, h.Version%1000/10,
		h.Build.Major, h.Build.Minor, h.Build)
	if h.VisibleSet {
		f.Text += fmt.Sprintf("; CUDA_VISIBLE_DEVICES=%q chooses the devices below, indices count within it", h.Visible)
	}
	if h.Lacking > 0 {
		f.Text += fmt.Sprintf("; %d functions of the build's headers are newer than it", h.Lacking)
	}
	return f
}

func (h Host) checkVersionIfThere() error {
	if h.DriverErr != nil {
		return nil
	}
	return h.checkVersion()
}

func (h Host) deviceFindings(i int, chosen bool) []backend.Finding {
	d := h.Devices[i]
	f := backend.Finding{Subject: fmt.Sprintf("cuda:%d", i), Grade: backend.Good}
	f.Text = fmt.Sprintf("%s, %v, compute capability %d.%d, %s", d.Name, d.UUID, d.Capability/10, d.Capability%10, gib(d.Total))
	if d.Free >= 0 {
		f.Text += ", " + gib(d.Free) + " free"
	}
	if d.MIG.Enabled {
		f.Text += ", MIG enabled"
	}
	if t, ok := h.Build.For(d.Capability); ok {
		f.Text += ", code for " + t.String()
		if t.PTX {
			f.Advice = "the driver compiles the kernels when they are loaded, once for each version of both: the first start is slower"
		}
	}
	if err := h.Check(i); err != nil {
		f.Grade, f.Advice = backend.Weak, err.Error()
		if chosen {
			f.Grade = backend.Bad
		}
	}
	all := []backend.Finding{f}
	for _, trouble := range d.Health.Troubles() {
		all = append(all, backend.Finding{Subject: f.Subject, Grade: backend.Weak, Text: trouble})
	}
	return all
}

func gib(bytes int64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(bytes)/(1<<30)), ".0") + " GiB"
}
