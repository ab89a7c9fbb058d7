package check

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// patience is far above what anything here takes.
const patience = time.Minute

// The worker loads, locks its model, answers a request and drains with no more
// rights than the unit leaves it: what the kernel refuses it here, it would
// refuse under systemd. Of the unit these are the system calls, the kinds of
// sockets, memory that is made executable, and a user without rights.
func TestWorkerRunsUnderTheUnitsRights(t *testing.T) {
	if !seccomp.Supported() {
		t.Skip("this kernel has no seccomp, so the worker is NOT run under the unit's rights")
	}
	calls := unitCalls(t)
	t.Logf("%d system calls", len(calls))
	dir := shared(t)
	if out, err := confinedCommand(dir, calls, "/bin/chown", "0", dir).CombinedOutput(); err == nil || !strings.HasPrefix(string(out), "/bin/chown: ") || !strings.Contains(string(out), "not permitted") {
		t.Fatalf("chown is not refused, so nothing is: %v %s", err, out)
	}
	port := freePort(t)
	worker := confinedCommand(dir, calls, filepath.Join(dir, "llorch-cpu"), "--model", filepath.Join(dir, "model"), "--port", port, "--local-mode")
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unlimited); err == nil { // the worker inherits it
		worker.Env = append(worker.Env, "LLORCH_MLOCK=true")
	} else {
		t.Logf("memory is not locked, the limit cannot be lifted here: %v", err)
	}
	exited := start(t, worker)
	base := "http://127.0.0.1:" + port
	untilReady(t, base, exited)
	resp, err := http.Post(base+"/execute", "application/json", strings.NewReader(`{"job_id":"j","prompt":"Once upon a time","max_tokens":20}`))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(stream), `"type":"end"`) {
		t.Errorf("%v\n%s", err, stream)
	}
	if err := worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-exited:
		if err != nil {
			t.Errorf("the end: %v", err)
		}
	case <-time.After(patience):
		t.Error("does not end")
	}
}

// unitCalls are the system calls that the unit leaves.
func unitCalls(t *testing.T) []string {
	t.Helper()
	unit, err := os.ReadFile("../systemd/llorch-cpu@.service")
	if err != nil {
		t.Fatal(err)
	}
	var filters []string
	for l := range strings.Lines(string(unit)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(l), "SystemCallFilter="); ok {
			filters = append(filters, value)
		}
	}
	for _, same := range []string{"RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "MemoryDenyWriteExecute=yes", "SystemCallErrorNumber=EPERM", "LimitMEMLOCK=infinity"} {
		if !strings.Contains(string(unit), "\n"+same+"\n") {
			t.Errorf("confine does as %s says, which is not in the unit", same)
		}
	}
	calls := allowedCalls(t, filters)
	if len(calls) < 100 {
		t.Fatalf("only %d system calls: %q", len(calls), calls)
	}
	return calls
}

// shared is a folder that any user may read, with the worker, the demo's model
// and this program.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "llorch-check")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "llorch-cpu"), "./agent/cmd/llorch")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "confine"), program, 0o755)
	}
	if err == nil {
		err = os.CopyFS(filepath.Join(dir, "model"), os.DirFS(root+"/deploy/demo/model"))
	}
	if err == nil {
		err = exec.CommandContext(t.Context(), "chmod", "-R", "go+rX", dir).Run()
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// confinedCommand is a command under the unit's rights.
func confinedCommand(dir string, calls []string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(dir, "confine"), args...)
	cmd.Dir = dir
	cmd.Env = []string{confined + "=" + strings.Join(calls, " "), "PATH=/usr/bin:/bin"}
	return cmd
}

// start runs the worker with its log in a file, which is shown if the test fails.
func start(t *testing.T, worker *exec.Cmd) (exited <-chan error) {
	t.Helper()
	log, err := os.Create(filepath.Join(worker.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	worker.Stdout, worker.Stderr = log, log
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- worker.Wait() }()
	t.Cleanup(func() {
		_ = worker.Process.Kill()
		log.Close()
		if text, err := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("log (%v):\n%s", err, text)
		}
	})
	return done
}

// freePort is below the range from which the kernel takes ports for outgoing
// connections: one of those could have it before the worker does.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

func untilReady(t *testing.T, base string, exited <-chan error) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if resp, err := http.Get(base + "/ready"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-exited:
			t.Fatalf("it ends: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatal("never ready")
}
