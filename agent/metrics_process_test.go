package agent

import (
	"context"
	"testing"
	"time"

	"llorch/callback"
	"llorch/inference"
)

// A cancel that the client need not wait for is still measured to its end.
func TestCancelToFreeIsMeasuredBeyondTheStream(t *testing.T) {
	release := make(chan struct{})
	f := serveFake(t, &fakeEngine{script: func(ctx context.Context, _ inference.Request, send func(inference.Event)) {
		<-ctx.Done()
		<-release
		send(inference.Event{Err: causeOf(ctx)})
	}}, mirrored)
	resp := f.do("POST", "/execute", good)
	f.do("POST", "/cancel", `{"job_id":"j1"}`)
	text(t, resp)
	if n := valueOf(t, f.scrape(), "llorch_cancel_to_free_seconds", ""); n != 0 {
		t.Errorf("%v observed before the engine was done", n)
	}
	const long = 50 * time.Millisecond // beyond the end of the stream
	time.Sleep(long)
	close(release)
	eventually(t, "observed", func() bool { return valueOf(t, f.scrape(), "llorch_cancel_to_free_seconds", "") == 1 })
	got := f.scrape()
	if took := got["llorch_cancel_to_free_seconds"].Metric[0].GetHistogram().GetSampleSum(); took < long.Seconds() || took > 60 {
		t.Errorf("%v s, the engine took %v", took, long)
	}
	if n := valueOf(t, got, "vllm:request_success_total", "abort"); n != 1 {
		t.Errorf("%v aborts", n)
	}
}

// Only what a cancel has ended is a cancel's time.
func TestCancelToFreeIgnoresOtherEnds(t *testing.T) {
	m := NewMetrics("w", NewMachine(nil), time.Now())
	drained := inference.Event{Err: &inference.Error{Code: inference.CodeCancelled, Err: inference.ErrDraining}, At: time.Now()}
	watchRelease(t.Context(), m.release).released(drained)
	ended, cancel := context.WithCancel(t.Context())
	w := watchRelease(ended, m.release)
	cancel()
	w.released(inference.Event{End: &inference.End{}, At: time.Now()})
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "llorch_cancel_to_free_seconds" && family.Metric[0].GetHistogram().GetSampleCount() != 0 {
			t.Error("a request that no cancel ended was observed")
		}
	}
}

func TestProcessMetrics(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	m := f.server.metrics
	if got := f.scrape(); got["llorch_device_fault"] != nil || got["llorch_memory_unexplained_bytes"] != nil {
		t.Error("a value before anything was known")
	}
	f.machine.SetProgress(Progress{Phase: "populate", BytesDone: 900, BytesTotal: 1000})
	f.value("llorch_load_bytes_total", "", 900)
	f.machine.SetProgress(Progress{Phase: "place", BytesDone: 800, BytesTotal: 800})
	f.value("llorch_load_bytes_total", "", 900)

	f.value("llorch_registration_state", "", 0)
	for s := callback.Unregistered; s <= callback.Deregistered; s++ {
		m.standing(s)
		f.value("llorch_registration_state", "", float64(s))
	}
	for _, o := range callback.Outcomes {
		f.value("llorch_callback_attempts_total", string(o), 0)
	}
	m.called(callback.ServerError)
	f.value("llorch_callback_attempts_total", "server_error", 1)

	f.recordEverything()
	f.value("llorch_device_fault", "unknown", 1)
	all := valueOf(t, f.scrape(), "llorch_memory_unexplained_bytes", "")
	if err := m.explain(map[string]int64{"weights": 1 << 40, "cache": 1 << 40}); err != nil {
		t.Fatal(err)
	}
	if less := valueOf(t, f.scrape(), "llorch_memory_unexplained_bytes", ""); all < 1<<20 || all > 1<<36 || less > all-(1<<41)+(1<<36) {
		t.Errorf("%v bytes with nothing accounted for, %v with two terabytes", all, less)
	}

	f.value("llorch_drain_state", "", 0)
	f.enter(Draining)
	f.value("llorch_drain_state", "", 1)
	m.cutting.Store(true)
	f.value("llorch_drain_state", "", 2)
}

func (f *fixture) value(name, label string, want float64) {
	f.t.Helper()
	if got := valueOf(f.t, f.scrape(), name, label); got != want {
		f.t.Errorf("%s %s = %v, want %v", name, label, got, want)
	}
}
