package faulty

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"llorch/inference/backend"
)

type idle struct {
	backend.Device
	syncs int
	err   error
}

func (d *idle) Sync() error { d.syncs++; return d.err }

func TestParseRefuses(t *testing.T) {
	for plan, says := range map[string]string{
		"hang": "step", "hang@": "step", "hang@0": "step", "hang@-1": "step", "hang@x": "step", "hang@1:": "duration", "hang@1:5": "duration",
		"slow@1": "needs a duration", "slow@1:-1s": "duration", "error@1:1s": "takes no duration", "fault@1:1s": "takes no duration",
		"quake@1": "kind", "hang@1,": "step", "@1": "kind",
	} {
		if _, err := Parse(plan); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "as in hang@") {
			t.Errorf("%q: %v", plan, err)
		}
	}
}

func must(t *testing.T, plan string) []Failure {
	t.Helper()
	all, err := Parse(plan)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestStepsFailAsPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		real := &idle{}
		d := New(real, must(t, "hang@2:2s,slow@3:5ms,error@5,fault@7"))
		began := time.Now()
		for step, want := range []time.Duration{0, 2000, 2005, 2010, 2015, 2020, 2025, 2030} {
			err := d.Sync()
			if got := time.Since(began); got != want*time.Millisecond {
				t.Errorf("step %d ended after %v", step+1, got)
			}
			if failed := err != nil; failed != (step == 4 || step >= 6) || backend.IsFault(err) != (step >= 6) {
				t.Errorf("step %d: %v", step+1, err)
			}
		}
		if real.syncs != 8 {
			t.Errorf("%d steps reached the device", real.syncs)
		}
	})
}

func TestHangForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(&idle{}, must(t, "hang@1:100000h"))
		ended := make(chan struct{})
		go func() { _ = d.Sync(); close(ended) }()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("it did not hang")
		default:
		}
		<-ended
	})
}

// Without a plan, and beside it, the device's own errors are told.
func TestRealErrorsPass(t *testing.T) {
	broken := errors.New("broken")
	if err := New(&idle{err: broken}, must(t, "")).Sync(); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func TestUnwrapGivesTheRealDevice(t *testing.T) {
	real := &idle{}
	for _, d := range []backend.Device{real, backend.Checked(real)} {
		if New(d, nil).Unwrap() != backend.Device(real) {
			t.Errorf("%T", d)
		}
	}
}
