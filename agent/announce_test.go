//go:build linux

package agent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"llorch/callback"
	"llorch/inference"
)

// While loading, each percent asks for time again; a load that stands still asks
// for none, so that the manager's patience ends.
func TestLoadIsAnnounced(t *testing.T) {
	w, heard := told(t, 0)
	if err := w.machine.To(Loading, ""); err != nil {
		t.Fatal(err)
	}
	w.machine.SetProgress(Progress{Phase: "populate", BytesDone: 10 << 20, BytesTotal: 40 << 20})
	end := w.tellLoading()
	want := func(text string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != text {
				t.Errorf("got %q, want %q", got, text)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("not heard: %q", text)
		}
	}
	want("STATUS=loading: 25 % (populate, 10 of 40 MiB)\nEXTEND_TIMEOUT_USEC=120000000")
	w.machine.SetProgress(Progress{Phase: "populate", BytesDone: 20 << 20, BytesTotal: 40 << 20})
	want("STATUS=loading: 50 % (populate, 20 of 40 MiB)\nEXTEND_TIMEOUT_USEC=120000000")
	if n := count(heard, 3*reportEvery, ""); n != 0 {
		t.Errorf("a load that stands still was announced %d times", n)
	}
	w.cfg.SpawnWindow = time.Minute
	for _, s := range []State{Verifying, Registering} {
		if err := w.machine.To(s, ""); err != nil {
			t.Fatal(err)
		}
	}
	want("STATUS=registering\nEXTEND_TIMEOUT_USEC=180000000")
	end()
	end()
}

func TestStatusLine(t *testing.T) {
	at := time.Unix(1_762_070_400, 0)
	l := statusLine{at: at}
	ready := Standing{State: Busy, Since: at}
	hung := Standing{Degraded, CauseHang, "no step", at}
	for i, c := range []struct {
		after  time.Duration
		s      Standing
		tokens uint64
		want   string // "" = none is due
	}{
		{time.Second, ready, 50, ""},
		{4 * time.Second, ready, 250, "busy: 3 running, 1 waiting, 50.0 tokens/s"},
		{5 * time.Second, ready, 500, ""}, // the same again
		{time.Second, hung, 500, "degraded: hang since 2025-11-02T08:00:00Z: no step"},
		{5 * time.Second, hung, 500, ""},
		{time.Second, ready, 510, "busy: 3 running, 1 waiting, 10.0 tokens/s"},
	} {
		at = at.Add(c.after)
		got, ok := l.next(at, c.s, inference.Stats{SlotsBusy: 3, Queued: 1, TokensOut: c.tokens})
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%d: %q %v, want %q", i, got, ok, c.want)
		}
	}
}

func TestEndIsAnnounced(t *testing.T) {
	w, heard := told(t, 0)
	report := callback.DrainReport{Completed: 3, Cut: 1, Refused: 7, Seconds: 1.2}
	w.tellDrained(nil, report)
	w.tellDrained(errors.Join(ErrFault), report)
	for _, want := range []string{
		"STATUS=drained: 3 completed, 1 cut, 7 refused, 1.2 s",
		"STATUS=failed, exit status 3: agent: device fault (drained: 3 completed, 1 cut, 7 refused, 1.2 s)",
	} {
		if got := <-heard; !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
