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
