package agent

import (
	"testing"

	"pgregory.net/rapid"
)

func TestOnlyReadyAndBusyAreHealthy(t *testing.T) {
	for s := range numStates {
		healthy := s == Ready || s == Busy
		if s.Accepts() != healthy {
			t.Errorf("%s: accepts %v", s, s.Accepts())
		}
		if stateFacts[s].name == "" || stateFacts[s].poll == "" {
			t.Errorf("state %d has no name", s)
		}
	}
}

func TestMachineFollowsTheTable(t *testing.T) {
	m := NewMachine(nil)
	if err := m.To(Ready, ""); err == nil {
		t.Error("starting → ready was allowed")
	}
	for _, s := range []State{Loading, Loading, Verifying, Registering, Ready, Draining} {
		if err := m.To(s, "because"); err != nil {
			t.Fatal(err)
		}
		if got, cause := m.State(); got != s || cause != "because" {
			t.Fatalf("%v %q, want %v", got, cause, s)
		}
	}
	if err := m.To(Ready, ""); err == nil {
		t.Error("draining → ready was allowed")
	}
}

func TestBusyFollowsRequests(t *testing.T) {
	m := NewMachine(nil)
	m.begin()
	if s, _ := m.State(); s != Starting {
		t.Errorf("%v with a request before ready", s)
	}
	for _, s := range []State{Loading, Verifying, Registering, Ready} {
		if err := m.To(s, ""); err != nil {
			t.Fatal(err)
		}
	}
	if s, _ := m.State(); s != Busy {
		t.Errorf("%v, want busy", s)
	}
	m.done()
	if s, _ := m.State(); s != Ready {
		t.Errorf("%v, want ready", s)
	}
}

// Nothing leads back from draining or stopped, whatever is tried.
func TestDrainingIsForEver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, down := NewMachine(nil), false
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			_ = m.To(State(rapid.IntRange(0, int(numStates)-1).Draw(t, "next")), "")
			s, _ := m.State()
			if down && s != Draining && s != Stopped {
				t.Fatalf("%s after draining", s)
			}
			down = down || s == Draining || s == Stopped
		}
	})
}

func TestProgressNeverGoesBack(t *testing.T) {
	m := NewMachine(nil)
	for _, p := range []struct {
		done, total int64
		want        int
	}{{50, 100, 50}, {10, 100, 50}, {0, 0, 50}, {300, 100, 100}} {
		m.SetProgress(Progress{BytesDone: p.done, BytesTotal: p.total})
		if got := m.Progress().Percent; got != p.want {
			t.Errorf("%d of %d: %d %%, want %d", p.done, p.total, got, p.want)
		}
	}
}
