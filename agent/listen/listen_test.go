package listen

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestMain is also the second process of the tests: called with a network and
// an address it listens there, says so, and stays until its input ends.
func TestMain(m *testing.M) {
	if os.Getenv("LISTEN_TEST_HOLDER") == "" {
		os.Exit(m.Run())
	}
	open := map[string]func(string) (net.Listener, error){"tcp": TCP, "unix": Unix}[os.Args[1]]
	l, err := open(os.Args[2])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	os.Exit(0) // without Close, as a process that is killed
}

// hold starts the second process and returns it and its address.
func hold(t *testing.T, network, address string, args ...string) (holder *exec.Cmd, at string) {
	t.Helper()
	c := exec.Command(os.Args[0], append([]string{network, address}, args...)...)
	c.Env = append(os.Environ(), "LISTEN_TEST_HOLDER=1")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = c.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return c, strings.TrimSpace(line)
}

func TestTakenPortNamesItsHolder(t *testing.T) {
	c, at := hold(t, "tcp", "127.0.0.1:0", "--api-token", "s3cret", "--worker-id", "w-3")
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(at)
	}
	want := fmt.Sprintf("address already in use by process %d (%s --worker-id w-3)", c.Process.Pid, filepath.Base(os.Args[0]))
	for _, address := range []string{at, "0.0.0.0:" + port, "localhost:" + port} {
		_, err := TCP(address)
		if !errors.Is(err, syscall.EADDRINUSE) || err.Error() != "listen on "+address+": "+want {
			t.Errorf("%s:\n got %v\nwant %s", address, err, want)
		}
	}
}

func TestHolderMayBeThisProcess(t *testing.T) {
	l, err := TCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := TCP(l.Addr().String()); err == nil || !strings.Contains(err.Error(), "by this process itself") {
		t.Error(err)
	}
}

// What another process has written into its command line cannot forge a log line.
func TestHolderIsQuoted(t *testing.T) {
	for in, want := range map[string]string{
		"w-3": "w-3", "a b": `"a b"`, "a\nERROR": `"a\nERROR"`, "\x1b[31m": `"\x1b[31m"`, "": `""`,
		strings.Repeat("x", 500): `"` + strings.Repeat("x", 64) + `"`,
	} {
		if got := presentable(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	if got := holder(t.Context(), 0); !strings.Contains(got, "cannot see") {
		t.Errorf("a process that is not visible: %s", got)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--worker-id", "a"}, "a"}, {[]string{"x", "--worker-id=b"}, "b"}, {[]string{"--worker-id"}, ""}, {nil, ""},
	} {
		if got := workerID(c.args); got != c.want {
			t.Errorf("%q: %q", c.args, got)
		}
	}
}

func TestOtherErrorsOfTCP(t *testing.T) {
	if _, err := TCP("203.0.113.1:0"); err == nil || errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), "listen on 203.0.113.1:0: ") {
		t.Error(err)
	}
}

func TestUnixSocketIsClosedToOthersAndRemoved(t *testing.T) {
	old := syscall.Umask(0) // the widest there is
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "w.sock")
	l, err := Unix(path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Lstat(path)
	if err != nil || st.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	_ = l.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// Whoever put a socket of his own at the path keeps it.
func TestClosingLeavesAnothersSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.sock")
	first, err := Unix(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := Unix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's socket is gone: %v", err)
	}
}

func TestSocketOfADeadProcessIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.sock")
	c, _ := hold(t, "unix", path, "--worker-id=w-4")
	_, err := Unix(path)
	want := fmt.Sprintf("by process %d (%s --worker-id w-4)", c.Process.Pid, filepath.Base(os.Args[0]))
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), want) {
		t.Errorf("while it lives: %v, want %s", err, want)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("a killed process leaves its file: %v", err)
	}
	l, err := Unix(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// Of many that start at once after a crash exactly one gets the path, and keeps it.
func TestOneOfManyGetsAStalePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.sock")
	c, _ := hold(t, "unix", path)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	var mu sync.Mutex
	var got []net.Listener
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			l, err := Unix(path)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				got = append(got, l)
			case !errors.Is(err, syscall.EADDRINUSE):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(got) != 1 {
		t.Fatalf("%d have it", len(got))
	}
	defer got[0].Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestUnixPathsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "model.safetensors")
	if err := os.WriteFile(file, []byte("weights"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file: "no socket", filepath.Join(dir, "missing", "w.sock"): "missing", dir: "no socket",
		filepath.Join(dir, strings.Repeat("x", 200)): "listen on",
	} {
		if _, err := Unix(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "weights" {
		t.Errorf("a file that was in the way: %q %v", b, err)
	}
}
