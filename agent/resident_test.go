//go:build linux

package agent

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

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

// Pages of a file that are not in memory make the worker degraded; asking for
// them brings it back at the next check.
func TestLostPagesDegradeAndHeal(t *testing.T) {
	const pages = 16
	size := pages * os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	for i := range memory {
		memory[i] = 1
	}
	w, _ := held(t, memory)
	if !w.recheck() || !w.machine.Resident() {
		t.Fatal("memory that was just written is not resident")
	}
	if err := unix.Madvise(memory[:size/2], unix.MADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if w.recheck() || w.machine.Resident() {
		t.Fatal("half of the pages are gone, yet resident")
	}
	if s, cause := w.machine.State(); s != Degraded || !strings.Contains(cause, "not in memory") {
		t.Errorf("%s because of %q", s, cause)
	}
	if !w.recheck() { // the check before has asked for the pages
		t.Error("pages that were asked for did not come back")
	}
	if s, _ := w.machine.State(); s != Ready {
		t.Errorf("%s after the pages came back", s)
	}
}

func TestChangedFilesDegrade(t *testing.T) {
	memory := make([]byte, 1)
	w, files := held(t, memory)
	files.err = errors.New("replaced")
	if w.recheck() {
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
	w.recheck()
	if s, _ := w.machine.State(); s != Draining {
		t.Errorf("%s", s)
	}
}

// A load that stands still is still seen to live, and each quarter is told once.
func TestLoadIsReported(t *testing.T) {
	log := &lockedBuffer{}
	bar := &lockedBuffer{}
	m := NewMachine(nil)
	r := newLoadReporter(m, NewLogger(log, 0, false), bar)
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
	if !strings.Contains(text, `"message":"loading","percent":100`) || !strings.Contains(bar.String(), "100 %") {
		t.Errorf("%s\n%q", text, bar.String())
	}
}

func progressOf(done int64) inference.Progress {
	return inference.Progress{Phase: "populate", Done: done, Total: 100, Layers: int(done / 10), LayersTotal: 10}
}
