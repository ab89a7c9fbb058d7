package listen

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// placed puts copies of sockets at consecutive descriptors, as a manager does,
// and returns the first. Those that nobody has taken over are closed at the end.
func placed(t *testing.T, files ...*os.File) (first int) {
	t.Helper()
	const base = 200 // above what the test has open
	for i, f := range files {
		if err := unix.Dup2(int(f.Fd()), base+i); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(base + i) })
	}
	return base
}

func fileOf(t *testing.T, v interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := v.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestInherit(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	path := filepath.Join(t.TempDir(), "s")
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	first := placed(t, fileOf(t, tcp.(*net.TCPListener)), fileOf(t, local.(*net.UnixListener)))
	got, err := inherit([]string{"LISTEN_FDS=2", "LISTEN_PID=17", "LISTEN_FDNAMES=http:local"}, 17, first)
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	for i, want := range []struct{ name, address string }{{"http", tcp.Addr().String()}, {"local", path}} {
		if got[i].Name != want.name || got[i].Addr().String() != want.address {
			t.Errorf("%d: %s at %s, want %+v", i, got[i].Name, got[i].Addr(), want)
		}
		conn, err := net.Dial(got[i].Addr().Network(), got[i].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if err := got[i].Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the manager's socket file is gone: %v", err)
	}
}

func TestNothingIsInherited(t *testing.T) {
	for _, environ := range [][]string{
		nil, {"LISTEN_FDS=1"}, {"LISTEN_PID=17"}, {"LISTEN_FDS=0", "LISTEN_PID=17"}, {"LISTEN_FDS=1", "LISTEN_PID=18"}, {"LISTEN_FDS=", "LISTEN_PID=17"},
	} {
		if got, err := inherit(environ, 17, 200); err != nil || len(got) != 0 {
			t.Errorf("%q: %v %v", environ, got, err)
		}
	}
}

func TestWrongDescriptorsAreRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	datagram, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for what, f := range map[string]*os.File{
		"connected": fileOf(t, conn.(*net.TCPConn)), "datagram": fileOf(t, datagram), "file": file,
	} {
		first := placed(t, fileOf(t, listener.(*net.TCPListener)), f)
		_, err := inherit([]string{"LISTEN_FDS=2", "LISTEN_PID=1", "LISTEN_FDNAMES=a:b"}, 1, first)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf(`descriptor %d "b": not a listening stream socket`, first+1)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, count := range []string{"x", "-1", "65", "1e3"} {
		if _, err := inherit([]string{"LISTEN_FDS=" + count, "LISTEN_PID=1"}, 1, 200); err == nil || !strings.Contains(err.Error(), "LISTEN_FDS") {
			t.Errorf("LISTEN_FDS=%s: %v", count, err)
		}
	}
	if _, err := inherit([]string{"LISTEN_FDS=1", "LISTEN_PID=1"}, 1, 999); err == nil {
		t.Error("a descriptor that is not open is taken")
	}
}
