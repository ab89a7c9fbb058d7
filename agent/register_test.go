package agent

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"llorch/callback"
)

// What heartbeats say in each state: only a worker that takes work is healthy,
// and its receivers know five words.
func TestPulse(t *testing.T) {
	w := &worker{machine: NewMachine(nil)}
	want := func(healthy bool, status string) {
		t.Helper()
		if got := w.pulse(); got != (callback.Beat{Healthy: healthy, Status: status}) {
			t.Errorf("%s: %+v", w.machine.Standing().State, got)
		}
	}
	want(false, "starting")
	for _, s := range []State{Loading, Verifying, Registering, Ready} {
		if err := w.machine.To(s, ""); err != nil {
			t.Fatal(err)
		}
	}
	want(true, "ready")
	w.machine.begin()
	want(true, "busy")
	w.machine.Impair(CauseHang, "no step")
	want(false, "busy")
	w.machine.Heal(CauseHang)
	if err := w.machine.To(Draining, ""); err != nil {
		t.Fatal(err)
	}
	want(false, "stopping")
	if err := w.machine.To(Stopped, ""); err != nil {
		t.Fatal(err)
	}
	want(false, "stopped")
}

// A drain that the orchestrator has caused says so, and leads to an exit
// status of its own; a drain that had begun before keeps its cause.
func TestDeregisteredIsACause(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	if err := f.machine.toBecause(Draining, CauseDeregistered, "409"); err != nil {
		t.Fatal(err)
	}
	if err := f.machine.To(Draining, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	if s := f.machine.Standing(); s.State != Draining || s.Cause != CauseDeregistered || s.Reason != "409" {
		t.Errorf("%+v", s)
	}
	if resp := f.do("GET", "/ready", ""); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d", resp.StatusCode)
	}
	if got := ExitStatus(fmt.Errorf("%w: %w", ErrDeregistered, errors.New("409"))); got != 5 {
		t.Errorf("exit status %d", got)
	}
}
