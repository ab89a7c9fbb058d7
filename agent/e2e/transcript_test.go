//go:build linux

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// The transcript in deploy/README.md has the messages of a worker's life, each
// kind first heard where it stands there. The log of this test (-v) is a
// transcript to put into its place.
func TestReadmeTranscript(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for two of the status lines that come every five seconds")
	}
	m, began := oneLife(t)
	var page strings.Builder
	var heard []string
	for _, h := range m.Heard() {
		fmt.Fprintf(&page, "%6.2f  %s\n", h.At.Sub(began).Seconds(), strings.ReplaceAll(h.Text, "\n", "\n        "))
		heard = append(heard, h.Text)
	}
	t.Logf("transcript:\n%s", page.String())
	text, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n### One life, as systemd hears it\n")
	_, block, _ := strings.Cut(section, "\n```\n")
	block, _, _ = strings.Cut(block, "\n```\n")
	var written []string
	for _, l := range strings.Split(block, "\n") {
		if strings.HasPrefix(l, "        ") && len(written) > 0 {
			written[len(written)-1] += "\n" + strings.TrimSpace(l)
		} else if _, message, ok := strings.Cut(strings.TrimSpace(l), "  "); ok {
			written = append(written, message)
		}
	}
	if got, want := kinds(written), kinds(heard); !slices.Equal(got, want) || len(want) < 6 {
		t.Errorf("deploy/README.md has\n%s\nheard were\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// oneLife starts a worker with a credential and a watchdog, waits for a status
// line at rest and one under load, and stops it.
func oneLife(t *testing.T) (*manager, time.Time) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "api-token"), []byte("t0ken\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	m := listenNotify(t, filepath.Join(dir, "notify"))
	began := time.Now()
	f := spawn(t, standin.Spawn{
		Env:  []string{"NOTIFY_SOCKET=" + m.name, "WATCHDOG_USEC=4000000", "CREDENTIALS_DIRECTORY=" + dir},
		Args: []string{"--model-ref", "stories"},
	})
	const patience = time.Minute
	eventually(t, "a status line at rest", patience, func() bool { return m.count("STATUS=ready: 0 running") > 0 })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	for i := range 4 {
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				r := endless(fmt.Sprintf("r%d-%d", i, n))
				r.MaxTokens = 200 // a drain has time for what is left of it
				s, err := f.Execute(ctx, "", r, "Authorization", "Bearer t0ken")
				if err != nil {
					return
				}
				_, _ = s.All()
				s.Close()
				if s.Status != http.StatusOK { // the worker drains
					return
				}
			}
		})
	}
	eventually(t, "a status line under load", patience, func() bool { return m.count("STATUS=busy: ") > 0 })
	if err := f.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.exits(0, patience)
	eventually(t, "the last message", patience, func() bool { return m.count("STATUS=drained") == 1 })
	return m, began
}

var (
	number = regexp.MustCompile(`\d+(\.\d+)?`)
	// start is any message of a worker that has not been ready yet.
	start = regexp.MustCompile(`^STATUS=(starting|loading|verifying|registering)[^\n]*\nEXTEND_TIMEOUT_USEC=N$`)
)

// kinds is each kind of message once, in the order of their first.
func kinds(messages []string) (all []string) {
	for _, text := range messages {
		text = number.ReplaceAllString(text, "N")
		if start.MatchString(text) {
			text = "a load that moves, and asks for more time"
		}
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}
