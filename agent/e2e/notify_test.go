//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// manager is the notification socket of a service manager.
type manager struct {
	*standin.Manager
	name string
}

func listenNotify(t *testing.T, name string) *manager {
	t.Helper()
	m, err := standin.ListenNotify(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return &manager{m, name}
}

// heard is the text of every message so far.
func (m *manager) heard() (all []string) {
	for _, h := range m.Heard() {
		all = append(all, h.Text)
	}
	return all
}

func (m *manager) count(part string) int { return m.Count(part) }

// One life as the service manager hears it, over both kinds of socket. The
// table is the order in which things must be heard first; anything may repeat.
func TestNotifyTranscript(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@llorch-e2e-%d", os.Getpid())} {
		m := listenNotify(t, name)
		f := spawn(t, standin.Spawn{
			Env:  []string{"NOTIFY_SOCKET=" + name, "WATCHDOG_USEC=400000"},
			Args: []string{"--shutdown-timeout", "300ms"},
		})
		f.healthy()
		s := f.execute(endless("running"))
		read := f.next(s, "token")
		eventually(t, "the watchdog is fed", 5*time.Second, func() bool { return m.count("WATCHDOG=1") >= 3 })
		if err := f.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if _, err := s.All(read...); err != nil {
			t.Error(err)
		}
		f.exits(0, 5*time.Second)
		eventually(t, "the last message", time.Second, func() bool { return m.count("STATUS=drained") == 1 })
		heard := m.heard()
		t.Logf("transcript:\n%s", strings.Join(heard, "\n--\n"))
		at := 0
		for _, want := range []string{
			`(?s)^STATUS=(starting|loading).*\nEXTEND_TIMEOUT_USEC=120000000$`, `^READY=1\nSTATUS=ready: \S+ at http://localhost:\d+$`,
			`^WATCHDOG=1$`, `^STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=\d+$`, `^STATUS=drained: \d+ completed, \d+ cut, \d+ refused, \d\.\d s$`,
		} {
			re := regexp.MustCompile(want)
			for at < len(heard) && !re.MatchString(heard[at]) {
				at++
			}
			if at == len(heard) {
				t.Fatalf("not heard, or not in this place: %s", want)
			}
		}
		if n := m.count("READY=1"); n != 1 {
			t.Errorf("READY=1 %d times", n)
		}
	}
}

// A stopped process feeds nobody; one that goes on is well at once, and the
// time it stood still is not taken for a hang of its device.
func TestStoppedProcessStarvesTheWatchdog(t *testing.T) {
	m := listenNotify(t, filepath.Join(t.TempDir(), "notify"))
	f := spawn(t, standin.Spawn{
		Env:  []string{"NOTIFY_SOCKET=" + m.name, "WATCHDOG_USEC=400000"},
		Args: []string{"--hang-timeout", "1s"},
	})
	f.healthy()
	s := f.execute(endless("running"))
	f.next(s, "token")
	eventually(t, "the watchdog is fed", 5*time.Second, func() bool { return m.count("WATCHDOG=1") >= 3 })
	if err := f.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // what was under way has arrived
	before := m.count("WATCHDOG=1")
	time.Sleep(2 * time.Second)
	if after := m.count("WATCHDOG=1"); after != before {
		t.Errorf("a stopped process has fed the watchdog %d times", after-before)
	}
	if err := f.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the watchdog is fed again", 20*time.Second, func() bool { return m.count("WATCHDOG=1") > before })
	if status, body := f.get("GET", "/ready", nil); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	s.Close()
	if strings.Contains(f.wholeLog(), `"message":"hang"`) {
		t.Error("a process that was stopped says that its device hangs")
	}
}

// A load that fails says so to the manager, and never READY.
func TestNotifyOfAFailedStart(t *testing.T) {
	m := listenNotify(t, filepath.Join(t.TempDir(), "notify"))
	f := spawn(t, standin.Spawn{Model: t.TempDir(), Env: []string{"NOTIFY_SOCKET=" + m.name}})
	f.exits(1, 10*time.Second)
	eventually(t, "the error", 10*time.Second, func() bool { return m.count("STATUS=failed, exit status 1: agent: model") == 1 })
	if m.count("READY=1") != 0 || m.count("WATCHDOG=1") != 0 {
		t.Errorf("%q", m.heard())
	}
}

// A socket that is not there is no reason not to serve.
func TestNotifyWithoutManager(t *testing.T) {
	f := spawn(t, standin.Spawn{Env: []string{"NOTIFY_SOCKET=/nonexistent/notify"}})
	f.healthy()
	if line := f.line("service manager"); line.Level != "WARN" {
		t.Errorf("%+v", line)
	}
}

// The real engine, saturated, with a short timeout: never not ready, probes
// answer all the time.
func TestSaturatedWorkerStaysReady(t *testing.T) {
	f := spawn(t, standin.Spawn{Args: []string{"--hang-timeout", "1s", "--max-batch", "2", "--max-queue", "30"}})
	f.healthy()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	var clients sync.WaitGroup
	for i := range 20 {
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				s, err := f.Execute(ctx, "", endless(fmt.Sprintf("r%d-%d", i, n)))
				if err != nil {
					return
				}
				_, _ = s.All()
				s.Close()
			}
		})
	}
	probes := 0
	for ; ctx.Err() == nil; probes++ {
		status, _, body, err := f.Do(t.Context(), "GET", "/ready", nil)
		if err != nil || status != 200 {
			t.Errorf("%d %s %v", status, body, err)
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	clients.Wait()
	if probes < 20 {
		t.Errorf("only %d probes in 4 s", probes)
	}
}
