//go:build linux

package agent

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"llorch/agent/notify"
	"llorch/inference"
)

// stallingEngine makes steps only when it is told to.
type stallingEngine struct{ steps, running atomic.Int64 }

func (e *stallingEngine) Generate(context.Context, inference.Request) (<-chan inference.Event, error) {
	return nil, inference.ErrClosed
}

func (e *stallingEngine) Stats() inference.Stats {
	return inference.Stats{SlotsTotal: 4, SlotsBusy: int(e.running.Load()), Steps: uint64(e.steps.Load())}
}

// told makes a worker whose service manager is a real socket, and returns what
// arrives there. Its machine is in Starting.
func told(t *testing.T, dog time.Duration) (*worker, <-chan string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 10_000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 8192)
		for {
			n, err := l.Read(b)
			if err != nil {
				return
			}
			heard <- string(b[:n])
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	environ := []string{"NOTIFY_SOCKET=" + name}
	if dog > 0 {
		environ = append(environ, "WATCHDOG_USEC="+strconv.FormatInt(dog.Microseconds(), 10))
	}
	s, err := notify.Open(environ, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	log := slog.New(slog.DiscardHandler)
	return &worker{machine: NewMachine(log), log: log, notify: s}, heard
}

// managed makes a ready worker over the engine, watched and told about.
func managed(t *testing.T, e *stallingEngine, hang, dog time.Duration) (*fixture, <-chan string) {
	t.Helper()
	w, heard := told(t, dog)
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	f.server.Attach(e, info)
	w.cfg.HangTimeout, w.machine, w.log = hang, f.machine, f.server.log
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() { defer close(watched); w.watchSteps(ctx, e.Stats, 0) }()
	t.Cleanup(func() { cancel(); <-watched })
	return f, heard
}

// count returns how many of the messages of the next d hold the text.
func count(heard <-chan string, d time.Duration, text string) (n int) {
	for end := time.After(d); ; {
		select {
		case m := <-heard:
			if strings.Contains(m, text) {
				n++
			}
		case <-end:
			return n
		}
	}
}

// A device that stops while work waits: not ready with the cause, the stacks
// once in the log, a watchdog that starves; all of it over when steps move.
func TestHangDrill(t *testing.T) {
	const hang, dog = 400 * time.Millisecond, 200 * time.Millisecond
	e := &stallingEngine{}
	f, heard := managed(t, e, hang, dog)
	if n := count(heard, 5*dog, "WATCHDOG=1"); n < 5 || n > 20 {
		t.Fatalf("idle: fed %d times in %v", n, 5*dog)
	}
	began := time.Now()
	e.running.Store(3)
	eventually(t, "not ready", func() bool { return f.do("GET", "/ready", "").StatusCode == 503 })
	if took := time.Since(began); took < hang || took > 20*hang { // late only where the machine is
		t.Errorf("found after %v", took)
	}
	got := text(t, f.do("GET", "/health", ""))
	if !strings.Contains(got, `"cause":"hang"`) || !strings.Contains(got, `"state":"degraded"`) || !strings.Contains(got, "3 requests running") {
		t.Errorf("%s", got)
	}
	if resp := f.do("POST", "/execute", good); resp.StatusCode != 503 {
		t.Errorf("a hung worker took work: %d", resp.StatusCode)
	}
	if resp := f.do("GET", "/live", ""); resp.StatusCode != 200 {
		t.Errorf("/live: %d", resp.StatusCode)
	}
	if n := count(heard, 50*time.Millisecond, "STATUS=degraded: hang since"); n != 1 {
		t.Errorf("the manager was told %d times", n)
	}
	if n := count(heard, 5*dog, "WATCHDOG=1"); n != 0 {
		t.Errorf("hung, yet the watchdog was fed %d times", n)
	}
	if log := f.log.String(); strings.Count(log, `"message":"hang"`) != 1 || !strings.Contains(log, "TestHangDrill") {
		t.Errorf("the stacks are not in the log once: %.2000s", log)
	}
	e.steps.Add(1)
	eventually(t, "healed", func() bool { return f.do("GET", "/ready", "").StatusCode == 200 })
	if n := count(heard, 2*dog, "WATCHDOG=1"); n == 0 {
		t.Error("healed, but the watchdog still starves")
	}
}

// Long steps at full load are work, whatever the load lasts.
func TestSaturationIsNoHang(t *testing.T) {
	const hang, dog = 400 * time.Millisecond, 200 * time.Millisecond
	e := &stallingEngine{}
	e.running.Store(64)
	f, heard := managed(t, e, hang, dog)
	for end := time.Now().Add(8 * hang); time.Now().Before(end); time.Sleep(hang / 4) {
		e.steps.Add(1)
		if resp := f.do("GET", "/ready", ""); resp.StatusCode != 200 {
			t.Fatalf("%s", text(t, resp))
		}
	}
	if n := count(heard, time.Millisecond, "WATCHDOG=1"); n < 8 {
		t.Errorf("fed %d times", n)
	}
}
