package inference

import (
	"errors"
	"testing"

	"llorch/residency"
)

// checkResident fails unless every page the device computes from is in memory.
// The engine does not know of package residency; agent puts the two together,
// as this test does.
func checkResident(t *testing.T, e *Engine) {
	t.Helper()
	pages, err := residency.OpenPages()
	if errors.Is(err, residency.ErrNotObservable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer pages.Close()
	var claims []residency.Claim
	for _, r := range e.Regions() {
		claims = append(claims, residency.Claim{Class: r.Use.String(), Addr: r.Addr, Bytes: r.Bytes})
	}
	report := residency.Verify(claims, residency.Observe(pages, claims))
	if err := report.Err(); err != nil || len(claims) == 0 {
		t.Errorf("%d regions: %v", len(claims), err)
	}
	t.Logf("resident: %v", report.Held)
}

// TestAcceleratorIsObserved: what the driver and its management library say of a real device adds up.
func TestAcceleratorIsObserved(t *testing.T) {
	list := accelerators()
	if len(list) == 0 {
		t.Skip("not run: there is no accelerator, or the program is built for none")
	}
	for _, o := range list {
		e := openEngine(t, demoModel, o)
		for range 2 {
			ask(t, e, Request{ID: "a", Prompt: "The", MaxTokens: 40})
			o, err := e.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			d := residency.Device{Index: o.Index, Context: o.Context, Graphs: o.Graphs, Page: o.Page, Process: o.Process, ProcessErr: o.Occupancy.Err}
			for _, p := range o.Placed {
				d.Claims = append(d.Claims, residency.Claim{Class: p.Use.String(), Addr: p.Addr, Bytes: p.Bytes})
				d.Places = append(d.Places, residency.Place{Device: p.Place.Device, Index: p.Place.Index, Managed: p.Place.Managed,
					Host: p.Place.Host, Start: p.Place.Start, Bytes: p.Place.Bytes, Err: p.Err})
			}
			r := residency.VerifyDevice(d)
			if err := r.Err(); err != nil {
				t.Error(err)
			}
			t.Logf("%s: %v of %d", e.Info().Device.Name, r.Held, r.Process)
		}
	}
}
