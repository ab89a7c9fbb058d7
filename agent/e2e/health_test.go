package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// The probe of containers, on a worker that is ready, on one that waits for
// its orchestrator, and on none.
func TestHealthCommand(t *testing.T) {
	f := ready(t)
	port := strconv.Itoa(f.Port)
	if status, out, err := command(t, "", "health", "--timeout", "10s", "--port", port); status != 0 || !strings.Contains(out, `"ready":true`) || err != "" {
		t.Errorf("ready: status %d\n%s%s", status, out, err)
	}
	if status, _, err := command(t, "", "health"); status != 2 || !strings.Contains(err, "give --port or LLORCH_PORT") {
		t.Errorf("no port: status %d\n%s", status, err)
	}
	f.Kill()
	if status, out, err := command(t, "", "health", "--port", port); status != 1 || out != "" || !strings.Contains(err, "health: ") {
		t.Errorf("nobody there: status %d\n%s%s", status, out, err)
	}

	o := orchestrate(t, func(int, standin.Call) int { return 503 })
	g := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready")})
	port = strconv.Itoa(g.Port)
	eventually(t, "the worker calls its orchestrator", time.Minute, func() bool { return len(o.Calls()) > 0 })
	if status, out, _ := command(t, "", "health", "--timeout", "10s", "--port", port); status != 1 || !strings.Contains(out, `"cause":"registering"`) {
		t.Errorf("not registered: status %d\n%s", status, out)
	}
	if status, out, err := command(t, "", "health", "--timeout", "10s", "--live", "--port", port); status != 0 || !strings.Contains(out, `"ready":false`) {
		t.Errorf("alive: status %d\n%s%s", status, out, err)
	}
}
