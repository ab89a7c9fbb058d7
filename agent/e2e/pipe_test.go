package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// A spawner that gives the worker a pipe and never reads it must get a worker
// that serves and stops all the same. A pipe holds 64 KB: here some 150 lines.
func TestALogPipeThatNobodyReads(t *testing.T) {
	port, err := standin.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), binary, "--model", model, "--port", fmt.Sprint(port), "--local-mode")
	unread, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Close()
	c.Stdout = stdout
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stdout.Close()
	client := &http.Client{Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	eventually(t, "ready", time.Minute, func() bool {
		resp, err := client.Get(base + "/health")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	for i := range 200 {
		resp, err := client.Post(base+"/execute", "application/json", strings.NewReader(`{"job_id":"j","prompt":"Once","max_tokens":1}`))
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(body), `"type":"end"`) {
			t.Fatalf("request %d: %v %s", i, err, body)
		}
	}
	at := time.Now()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil || time.Since(at) > 5*time.Second {
		t.Errorf("stopped after %v: %v", time.Since(at), err)
	}
}
