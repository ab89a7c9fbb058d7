package e2e

import (
	"path/filepath"
	"testing"

	"llorch/deploy/demo/standin"
)

// A worker that registers for ever asks its service manager for more time, so that the manager does not end what it
// was told to wait for.
func TestRegisteringForEverAsksForTime(t *testing.T) {
	port, err := standin.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	how := standin.Listener{Port: port, Answer: func(int, standin.Call) int { return 503 }}
	o := openOrchestrator(t, how)
	m := listenNotify(t, filepath.Join(t.TempDir(), "notify"))
	f := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready"), Env: []string{"NOTIFY_SOCKET=" + m.name}, Args: []string{"--spawn-window", "0s"}})
	eventually(t, "time is asked for", long, func() bool { return m.count("STATUS=registering for 0 min\nEXTEND_TIMEOUT_USEC=120000000") == 1 })
	if m.count("READY=1") != 0 {
		t.Error("ready before it was registered")
	}
	o.Close()
	how.Answer = nil
	openOrchestrator(t, how)
	f.healthy()
	eventually(t, "ready", long, func() bool { return m.count("READY=1") == 1 })
}
