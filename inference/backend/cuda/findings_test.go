package cuda

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/nvml"
)

func printed(all []backend.Finding) string {
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, "%s %s: %s", f.Grade, f.Subject, f.Text)
		if f.Advice != "" {
			fmt.Fprintf(&b, " → %s", f.Advice)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestFindings(t *testing.T) {
	card := DeviceFacts{Name: "NVIDIA H200", Capability: 90, Total: 140 << 30, Free: 139<<30 + 1<<29,
		Health: nvml.Health{Uncorrected: -1}}
	good := Host{
		Facts:      Facts{Build: testBuild(t, "13.0 80 90a ptx90"), Version: 13000, Devices: []DeviceFacts{card, card}},
		DriverName: "580.65.06",
	}
	good.Devices[1].Health.RemapPending = true
	id := driver.UUID{}.String()
	want := `ok cuda driver: 580.65.06, serves CUDA 13.0; kernels built with CUDA 13.0 for 8.0, 9.0a, 9.0 and newer, as PTX
ok cuda:0: NVIDIA H200, ` + id + `, compute capability 9.0, 140 GiB, 139.5 GiB free, code for 9.0a
ok cuda:1: NVIDIA H200, ` + id + `, compute capability 9.0, 140 GiB, 139.5 GiB free, code for 9.0a
weak cuda:1: the replacement of a row of memory waits for a reset of the GPU
`
	if got := printed(good.Findings(0)); got != want {
		t.Errorf("a good host:\n%s", got)
	}
	if got := printed(good.Findings(2)); !strings.Contains(got, "bad device cuda: there is no device cuda:2") {
		t.Errorf("an index of nobody:\n%s", got)
	}
}

func TestFindingsOfBadHosts(t *testing.T) {
	none := Host{
		Facts: Facts{Build: testBuild(t, "13.0 90a"), DriverErr: fmt.Errorf("%w: x", driver.ErrNoDriver)},
	}
	if got := printed(none.Findings(0)); !strings.HasPrefix(got, "bad cuda driver: no NVIDIA driver: x: install") {
		t.Errorf("no driver:\n%s", got)
	}
	old := Host{Facts: Facts{Build: testBuild(t, "13.0 90a"), Version: 12080, Devices: make([]DeviceFacts, 1)}}
	if got := old.Findings(0); len(got) != 1 || got[0].Grade != backend.Bad {
		t.Errorf("an old driver:\n%s", printed(got))
	}
	sick := Host{Facts: Facts{Build: testBuild(t, "13.0 90a"), Version: 13000, NVMLErr: errors.New("z"),
		Devices: []DeviceFacts{{Name: "A", Capability: 90, Free: -1}, {Name: "B", Capability: 75, Free: -1}}}}
	got := printed(sick.Findings(0))
	if !strings.Contains(got, "bad cuda:0: A") || !strings.Contains(got, "weak cuda:1: B") || !strings.Contains(got, "Ampere") || strings.Contains(got, "free") {
		t.Errorf("a host without NVML and with an old card:\n%s", got)
	}
}
