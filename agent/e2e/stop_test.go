package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// However the worker is asked to stop, it stops being healthy at once, takes
// nothing new, ends what runs with a terminal frame, reports and exits with 0.
func TestDrain(t *testing.T) {
	signal := func(s os.Signal) func(*fleet) { return func(f *fleet) { _ = f.Signal(s) } }
	post := func(path string) func(*fleet) {
		return func(f *fleet) {
			if status, body := f.get("POST", path, nil); status != 202 {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
	}
	for name, stop := range map[string]func(*fleet){
		"SIGTERM": signal(syscall.SIGTERM), "SIGINT": signal(os.Interrupt),
		"/shutdown": post("/shutdown"), "/v1/shutdown": post("/v1/shutdown"), "/v1/admin/shutdown": post("/v1/admin/shutdown"),
	} {
		f := ready(t, "--shutdown-timeout", "300ms")
		s := f.execute(endless("running"))
		read := f.next(s, "token")
		at := time.Now()
		stop(f)
		eventually(t, "unhealthy", 3*time.Second, func() bool { // gone is unhealthy, too
			status, _, _, err := f.Do(t.Context(), "GET", "/health", nil)
			return err != nil || status == 503
		})
		if status, _, _, err := f.Do(t.Context(), "POST", "/execute", story("late", 1)); err == nil && status != 503 {
			t.Errorf("%s: new work got %d", name, status)
		}
		all, err := s.All(read...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if end := standin.Last(all); end.Type == "error" && end.Code != "CANCELLED" {
			t.Errorf("%s: %s", name, end.Raw)
		}
		f.exits(0, 10*time.Second)
		report, ok := f.Find("shutdown")
		if took := time.Since(at); took > 5*time.Second || !ok || report.Fields["exit"] != 0.0 {
			t.Errorf("%s: %v, report %+v", name, took, report)
		}
	}
}

// A step that takes longer than the drain (a long prefill on the slow reference
// device) neither keeps the stream without its terminal frame nor the process.
func TestDrainInsideALongStep(t *testing.T) {
	f := ready(t, "--shutdown-timeout", "200ms", "--backend", "ref")
	job := endless("prefill")
	job.Prompt = strings.Repeat("Once upon a time ", 110) // one step of 512 rows takes the device seconds
	s := f.execute(job)
	read := f.next(s, "started")
	at := time.Now()
	if err := f.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	all, err := s.All(read...)
	if end := standin.Last(all); err != nil || end.Type != "error" || end.Code != "CANCELLED" {
		t.Errorf("%v: %s", err, end.Raw)
	}
	f.exits(0, 10*time.Second)
	if took := time.Since(at); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestSecondSignalCuts(t *testing.T) {
	f := ready(t, "--shutdown-timeout", "60s", "--inference-timeout-sec", "0")
	s := f.execute(endless("running"))
	read := f.next(s, "token")
	at := time.Now()
	for range 2 {
		if err := f.Signal(syscall.SIGTERM); err != nil {
			break // already over
		}
		time.Sleep(50 * time.Millisecond)
	}
	if _, err := s.All(read...); err != nil {
		t.Error(err)
	}
	f.exits(0, 10*time.Second)
	if took := time.Since(at); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// copyModel gives a test a model of its own to damage.
func copyModel(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(model)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func firstShard(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil || len(files) == 0 {
		t.Fatal("no weights", err)
	}
	return files[0]
}

// enlarge writes to the end of a file.
func enlarge(t *testing.T, path string) {
	t.Helper()
	w, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.WriteString("more")
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
}

// A model that changes on disk makes its worker unhealthy at the next check.
func TestChangedModelDegrades(t *testing.T) {
	dir := copyModel(t)
	f := spawn(t, standin.Spawn{Model: dir, Args: []string{"--residency-interval", "100ms"}})
	f.healthy()
	enlarge(t, firstShard(t, dir))
	eventually(t, "degraded", 10*time.Second, func() bool {
		status, body := f.get("GET", "/health", nil)
		return status == 503 && strings.Contains(body, `"state":"degraded"`) && strings.Contains(body, "changed")
	})
	if status, _ := f.get("POST", "/execute", story("a", 1)); status != 503 {
		t.Errorf("a degraded worker took work: %d", status)
	}
	if err := f.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.exits(0, 10*time.Second)
}

// A model that is truncated under the mapping is a device fault with a message
// and the exit status for "start me again", not a silent SIGBUS.
func TestTruncatedModelFaults(t *testing.T) {
	dir := copyModel(t)
	f := spawn(t, standin.Spawn{Model: dir})
	f.healthy()
	if err := os.Truncate(firstShard(t, dir), 4096); err != nil {
		t.Fatal(err)
	}
	s, err := f.Execute(t.Context(), "", story("a", 1))
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.All()
	if end := standin.Last(all); err != nil || end.Type != "error" {
		t.Errorf("%v %s", err, end.Raw)
	}
	f.exits(3, 10*time.Second)
	if line, ok := f.Find("error"); !ok || !strings.Contains(line.Fields["error"].(string), "fault") {
		t.Errorf("%+v", line)
	}
}
