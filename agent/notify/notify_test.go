//go:build linux

package notify

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// listen is a manager's socket.
func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func receive(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2*maxBytes)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSendsToPathsAndAbstractSockets(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@llorch-notify-test-%d", os.Getpid())} {
		manager := listen(t, name)
		s, err := Open([]string{"HOME=/", "NOTIFY_SOCKET=" + name}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if s.Watchdog() != 0 {
			t.Errorf("a watchdog of %v that nobody asked for", s.Watchdog())
		}
		for want, lines := range map[string][]Line{
			"READY=1\nSTATUS=ready":                   {Ready(), Status("ready")},
			"STOPPING=1\nEXTEND_TIMEOUT_USEC=1500001": {Stopping(), Extend(1500*time.Millisecond + time.Nanosecond)},
			"WATCHDOG=1":         {Alive()},
			"STATUS=a READY=1 b": {Status("a\nREADY=1\x00b")},
			"EXTEND_TIMEOUT_USEC=0\nSTATUS=\u00e9\u4e16": {Extend(-time.Second), Status("\u00e9\u4e16")},
		} {
			if err := s.Send(lines...); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, manager); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Send(Alive()); err == nil {
			t.Error("a closed socket took a message")
		}
	}
}

func TestNobodyToTell(t *testing.T) {
	for _, environ := range [][]string{nil, {"NOTIFY_SOCKET="}, {"WATCHDOG_USEC=1000"}} {
		s, err := Open(environ, 1)
		if s != nil || err != nil {
			t.Errorf("%q: %v %v", environ, s, err)
		}
		if s.Send(Ready()) != nil || s.Watchdog() != 0 || s.Close() != nil {
			t.Error("nil is no working socket")
		}
	}
}

func TestBadSockets(t *testing.T) {
	for name, want := range map[string]string{
		"vsock:2:1": "absolute path", "relative": "absolute path", "@": "absolute path",
		filepath.Join(t.TempDir(), "nobody"): "no such file",
	} {
		if s, err := Open([]string{"NOTIFY_SOCKET=" + name}, 1); err == nil || s != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", name, err, want)
		}
	}
}

func TestWatchdog(t *testing.T) {
	manager := filepath.Join(t.TempDir(), "notify")
	listen(t, manager)
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		bad       bool
	}{
		{"", "", 0, false}, {"2000000", "", 2 * time.Second, false}, {"2000000", "77", 2 * time.Second, false},
		{"2000000", "78", 0, false}, {"0", "", 0, true}, {"-1", "", 0, true}, {"2s", "", 0, true},
		{"9223372036854775807", "", 0, true}, {"2000000", "me", 0, true},
	} {
		s, err := Open([]string{"NOTIFY_SOCKET=" + manager, "WATCHDOG_USEC=" + c.usec, "WATCHDOG_PID=" + c.pid}, 77)
		if (err != nil) != c.bad || s.Watchdog() != c.want {
			t.Errorf("%q of %q: %v %v, want %v", c.usec, c.pid, s.Watchdog(), err, c.want)
		}
		if err := s.Send(Ready()); err != nil {
			t.Errorf("%q of %q: the socket does not work: %v", c.usec, c.pid, err)
		}
		s.Close()
	}
}

// A manager that stopped reading costs a bounded time and an error.
func TestFullQueueIsGivenUp(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	listen(t, name)
	s, err := Open([]string{"NOTIFY_SOCKET=" + name}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	began := time.Now()
	for range 100_000 {
		if err = s.Send(Alive()); err != nil {
			break
		}
	}
	if took := time.Since(began); err == nil || took > 20*writeTime {
		t.Errorf("%v after %v", err, took)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	got := string(message([]Line{Stopping(), Status(strings.Repeat("\u4e16", maxBytes))}))
	if len(got) > maxBytes || len(got) < maxBytes-8 || !utf8.ValidString(got) || !strings.HasPrefix(got, "STOPPING=1\nSTATUS=\u4e16") {
		t.Errorf("%d bytes, %.30q", len(got), got)
	}
}
