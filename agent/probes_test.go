package agent

import (
	"net/http"
	"testing"
)

// Only a hang fails the probe of managers without a watchdog, and only while it lasts.
func TestLiveOfAHungDevice(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	const probe = "/live?hang=fail"
	expect := func(when, path string, want int) {
		t.Helper()
		if resp := f.do("GET", path, ""); resp.StatusCode != want {
			t.Errorf("%s: GET %s: %d, want %d", when, path, resp.StatusCode, want)
		}
	}
	expect("ready", probe, http.StatusOK)
	f.machine.Impair(CauseResidency, "a page is gone")
	expect("a page is gone", probe, http.StatusOK)
	f.machine.Heal(CauseResidency)
	f.machine.Impair(CauseHang, "no step")
	expect("hang", probe, http.StatusServiceUnavailable)
	expect("hang", "/live", http.StatusOK)
	f.machine.Heal(CauseHang)
	expect("healed", probe, http.StatusOK)
}
