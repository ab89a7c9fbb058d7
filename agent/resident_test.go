//go:build linux

package agent

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sys/unix"

	"llorch/inference"
	"llorch/residency"
)

type filesOf struct{ err error }

func (f *filesOf) Changed() error { return f.err }

// held makes a ready worker whose model is the given memory.
func held(t *testing.T, memory []byte) (*worker, *filesOf) {
	t.Helper()
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	files := &filesOf{}
	w := &worker{machine: f.machine, metrics: f.server.metrics, server: f.server, log: f.server.log, source: files}
	addr := uintptr(unsafe.Pointer(unsafe.SliceData(memory)))
	w.claims = []residency.Claim{{Class: residency.Weights, Name: "test", Addr: addr, Bytes: int64(len(memory))}}
	return w, files
}

// mapped returns memory of its own pages, all written to.
func mapped(t *testing.T) []byte {
	t.Helper()
	memory, err := unix.Mmap(-1, 0, 16*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(memory) })
	for i := range memory {
		memory[i] = 1
	}
	return memory
}

// Pages that are gone are read in again at the check that misses them, and a
// worker that has them back soon stays ready.
func TestLostPagesAreRestored(t *testing.T) {
	memory := mapped(t)
	w, _ := held(t, memory)
	if err := w.recheck(t.Context(), "timer"); err != nil || !w.machine.Resident() {
		t.Fatalf("memory that was just written is not resident: %v", err)
	}
	if err := unix.Madvise(memory[:len(memory)/2], unix.MADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if err := w.recheck(t.Context(), "timer"); err != nil || !w.machine.Resident() || w.machine.Residency().Missing != 0 {
		t.Errorf("resident %v, missing %d: %v", w.machine.Resident(), w.machine.Residency().Missing, err)
	}
	if s, _ := w.machine.State(); s != Ready {
		t.Errorf("%s though the pages came back at once", s)
	}
	var restored dto.Metric
	if err := w.metrics.restored.Write(&restored); err != nil || restored.GetCounter().GetValue() != float64(len(memory)/2) {
		t.Errorf("restored %v bytes, want %d", restored.GetCounter().GetValue(), len(memory)/2)
	}
}

// Pages that do not come back make the worker degraded, with their number; it
// heals when they can be had again.
func TestLostPagesDegradeAndHeal(t *testing.T) {
	memory := mapped(t)
	w, _ := held(t, memory)
	half := memory[:len(memory)/2]
	if err := errors.Join(unix.Madvise(half, unix.MADV_DONTNEED), unix.Mprotect(half, unix.PROT_NONE)); err != nil {
		t.Fatal(err)
	}
	if w.recheck(t.Context(), "timer") == nil || w.machine.Resident() || w.machine.Residency().Missing != int64(len(half)) {
		t.Fatalf("half of the pages are gone: resident %v, missing %d", w.machine.Resident(), w.machine.Residency().Missing)
	}
	if s, reason := w.machine.State(); s != Degraded || !strings.Contains(reason, "not in memory") || w.machine.Standing().Cause != CauseResidency {
		t.Errorf("%s because of %q", s, reason)
	}
	if err := unix.Mprotect(half, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	if err := w.recheck(t.Context(), "timer"); err != nil {
		t.Errorf("pages that can be had again: %v", err)
	}
	if s, _ := w.machine.State(); s != Ready {
		t.Errorf("%s after the pages came back", s)
	}
}

// A restoration that takes longer than a request may wait shows while it lasts.
func TestSlowRestorationDegrades(t *testing.T) {
	memory := mapped(t)
	w, _ := held(t, memory)
	if err := unix.Madvise(memory, unix.MADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	report := w.restore(t.Context(), w.observe(t.Context()), "timer", -1)
	if s := w.machine.Standing(); !report.Resident || s.State != Degraded || s.Cause != CauseResidency ||
		!strings.Contains(s.Reason, fmt.Sprint(len(memory))) {
		t.Errorf("resident %v, %+v", report.Resident, s)
	}
	if err := w.recheck(t.Context(), "timer"); err != nil || w.machine.Standing().State != Ready {
		t.Errorf("%+v: %v", w.machine.Standing(), err)
	}
}

// What is missing is told to whoever asks, and nothing where nothing is.
func TestMissingBytesAreTold(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	f.machine.SetResidency(residency.Report{Missing: 4096, Held: map[string]int64{residency.Weights: 8192}})
	if got := text(t, f.do("GET", "/health", "")); !strings.Contains(got, `"resident":false,"missing_bytes":4096,"resident_bytes":{"weights":8192}`) {
		t.Error(got)
	}
	f.value("llorch_residency_missing_bytes", "", 4096)
	f.machine.SetResidency(residency.Report{Resident: true})
	if got := text(t, f.do("GET", "/health", "")); strings.Contains(got, "missing_bytes") {
		t.Error(got)
	}
	f.value("llorch_residency_missing_bytes", "", 0)
}

// A loss that lasts ends the worker with its own exit status.
func TestLossThatLastsEndsTheWorker(t *testing.T) {
	w, files := held(t, mapped(t))
	files.err = errors.New("replaced")
	w.cfg.ResidencyInterval, w.cfg.ResidencyTimeout = 2*time.Millisecond, 10*time.Millisecond
	lost := make(chan error, 1)
	go w.watchResidency(t.Context(), lost)
	select {
	case err := <-lost:
		if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "replaced") || ExitStatus(err) != 4 {
			t.Errorf("exit status %d: %v", ExitStatus(err), err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the worker would wait for ever")
	}
}

// The first request after a long idle time has the pages looked at.
func TestIdleWakesTheKeeper(t *testing.T) {
	m := NewMachine(nil)
	now := time.Unix(1000, 0)
	m.now = func() time.Time { return now }
	woken := func() bool {
		select {
		case <-m.idle.woken:
			return true
		default:
			return false
		}
	}
	for i, step := range []struct {
		idle time.Duration
		want bool
	}{{0, false}, {idleLong - 1, false}, {idleLong, true}, {time.Second, false}} {
		now = now.Add(step.idle)
		m.begin()
		m.begin() // a second one beside it is not first
		if got := woken(); got != step.want {
			t.Errorf("step %d, idle for %v: woken %v", i, step.idle, got)
		}
		now = now.Add(time.Hour) // busy is not idle
		m.done()
		m.done()
	}
}

func TestChangedFilesDegrade(t *testing.T) {
	memory := make([]byte, 1)
	w, files := held(t, memory)
	files.err = errors.New("replaced")
	if w.recheck(t.Context(), "timer") == nil {
		t.Error("changed files passed")
	}
	if s, cause := w.machine.State(); s != Degraded || !strings.Contains(cause, "replaced") {
		t.Errorf("%s %q", s, cause)
	}
	if !w.machine.Resident() {
		t.Error("memory is said to be gone, though only the files changed")
	}
}

func TestRecheckLeavesADrainAlone(t *testing.T) {
	memory := make([]byte, 1)
	w, files := held(t, memory)
	if err := w.machine.To(Draining, ""); err != nil {
		t.Fatal(err)
	}
	files.err = errors.New("replaced")
	w.recheck(t.Context(), "timer")
	if s, _ := w.machine.State(); s != Draining {
		t.Errorf("%s", s)
	}
}

// A load that stands still is still seen to live, and each quarter is told once.
func TestLoadIsReported(t *testing.T) {
	log := &lockedBuffer{}
	bar := &lockedBuffer{}
	m := NewMachine(nil)
	r := newLoadReporter(m, NewLogger(log, 0, false), bar, inference.Plan{})
	for _, done := range []int64{10, 60, 60, 100} {
		r.report(progressOf(done))
	}
	time.Sleep(reportEvery + 100*time.Millisecond)
	r.end(true)
	text := log.String()
	for _, percent := range []string{"0", "25", "50", "75", "100"} {
		if n := strings.Count(text, `"model_load_progress","percent":`+percent+`,`); n != 1 {
			t.Errorf("%s %%: told %d times", percent, n)
		}
	}
	// The last byte is not the end.
	if !strings.Contains(text, `"message":"loading","percent":99`) || !strings.Contains(bar.String(), " 99 %") || m.Progress().Percent != 100 {
		t.Errorf("%s\n%q", text, bar.String())
	}
}

func progressOf(done int64) inference.Progress {
	return inference.Progress{Phase: "populate", Done: done, Total: 100, Share: float64(done) / 100, Layers: int(done / 10), LayersTotal: 10}
}
