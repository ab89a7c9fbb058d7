package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
	"llorch/deploy/demo/standin/certstest"
)

// patience is for what another process has to do; the machine may be busy.
const patience = 30 * time.Second

// bare is a worker without a port of its own, which the stand-in cannot start.
type bare struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *bare) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *bare) log() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// startBare runs the binary under a shell that becomes it, so that LISTEN_PID
// can be its process id. files are its descriptors from 3 on.
func startBare(t *testing.T, environ []string, files []*os.File, args ...string) *bare {
	t.Helper()
	b := &bare{t: t}
	b.cmd = exec.Command("/bin/sh", append([]string{"-c", `exec env LISTEN_PID=$$ "$@"`, "sh", binary, "--model", model}, args...)...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "LLORCH_") {
			b.cmd.Env = append(b.cmd.Env, v)
		}
	}
	b.cmd.Env = append(b.cmd.Env, environ...)
	b.cmd.ExtraFiles, b.cmd.Stdout, b.cmd.Stderr = files, b, b
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		if t.Failed() {
			t.Log(b.log())
		}
	})
	return b
}

// stops asks the worker to stop and waits for exit status 0.
func (b *bare) stops() {
	b.t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Fatal(err)
	}
	if err := b.cmd.Wait(); err != nil {
		b.t.Errorf("%v", err)
	}
}

// overUnix is a client of a Unix socket.
func overUnix(t *testing.T, path string) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// waitReady waits until a worker's health is 200.
func waitReady(t *testing.T, c *http.Client, base string) {
	t.Helper()
	eventually(t, base+" is ready", time.Minute, func() bool {
		resp, err := c.Get(base + "/health")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
}

// generates runs one request to its end.
func generates(t *testing.T, c *http.Client, base string) {
	t.Helper()
	body, err := json.Marshal(standin.Request{JobID: "j", Prompt: "Once", MaxTokens: 3})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Post(base+"/execute", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), `"type":"end"`) {
		t.Errorf("%s: %s %v", base, text, err)
	}
}

func TestTakenPortNamesItsHolder(t *testing.T) {
	first := spawn(t, standin.Spawn{ID: "w-first", Env: []string{"LLORCH_API_TOKEN=s3cret"}, Args: []string{"--admin-token", "hush"}})
	first.healthy()
	second := spawn(t, standin.Spawn{ID: "w-second", Port: first.Port})
	second.exits(1, patience)
	want := fmt.Sprintf("listen on 0.0.0.0:%d: address already in use by process %d (llorch-cpu --worker-id w-first)", first.Port, first.PID())
	if line, ok := second.Find("error"); !ok || !strings.Contains(fmt.Sprint(line.Fields["error"]), want) || strings.Contains(second.LogText(), "hush") {
		t.Errorf("want %s in\n%s", want, second.LogText())
	}
}

// A socket file outlives kill -9 and hinders nobody; a worker that stops takes its own with it.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.sock")
	first := spawn(t, standin.Spawn{ID: "w-first", Args: []string{"--unix-socket", path}})
	first.healthy()
	generates(t, overUnix(t, path), "http://worker")
	second := spawn(t, standin.Spawn{ID: "w-second", Args: []string{"--unix-socket", path}})
	second.exits(1, patience)
	if want := fmt.Sprintf("already in use by process %d (llorch-cpu --worker-id w-first)", first.PID()); !strings.Contains(second.LogText(), want) {
		t.Errorf("want %s in\n%s", want, second.LogText())
	}
	first.Kill()
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("the drill needs a file that was left behind: %v", err)
	}
	third := startBare(t, nil, nil, "--unix-socket", path) // without a port
	waitReady(t, overUnix(t, path), "http://worker")
	third.stops()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// The worker serves on what a service manager has opened, tells its port, and leaves the manager's file alone.
func TestSocketActivation(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	path := filepath.Join(t.TempDir(), "w.sock")
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	var files []*os.File
	for _, l := range []interface{ File() (*os.File, error) }{tcp.(*net.TCPListener), local.(*net.UnixListener)} {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	o := orchestrate(t, nil)
	b := startBare(t, []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=http:local"}, files, "--callback-url", o.URL("/ready"))
	base := "http://" + tcp.Addr().String()
	waitReady(t, http.DefaultClient, base)
	generates(t, http.DefaultClient, base)
	generates(t, overUnix(t, path), "http://worker")
	http.DefaultClient.CloseIdleConnections()
	if want := fmt.Sprintf(`"uri":"http://localhost:%d"`, tcp.Addr().(*net.TCPAddr).Port); !strings.Contains(string(o.Calls()[0].Body), want) {
		t.Errorf("told %s, want %s", o.Calls()[0].Body, want)
	}
	eventually(t, "both are logged", patience, func() bool {
		log := b.log()
		return strings.Contains(log, `"name":"http"`) && strings.Contains(log, `"name":"local"`) && strings.Contains(log, `"source":"inherited"`)
	})
	b.stops()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the manager's socket file is gone: %v", err)
	}
}

func TestWrongInheritedDescriptorEndsTheWorker(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := startBare(t, []string{"LISTEN_FDS=1"}, []*os.File{f})
	if err := b.cmd.Wait(); b.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(b.log(), "descriptor 3") {
		t.Errorf("%v: %s", err, b.log())
	}
}

// secure is a worker with TLS that asks for client certificates.
type secure struct {
	*fleet
	servers, clients *certstest.Authority
	files            certstest.Files
	base             string
}

func startSecure(t *testing.T, args ...string) *secure {
	s := &secure{servers: certstest.New(t, "servers"), clients: certstest.New(t, "clients"), files: certstest.NewFiles(t)}
	s.files.Write(t, s.servers.Issue(time.Now().Add(time.Hour)))
	certstest.Replace(t, s.files.CA, s.clients.PEM())
	o := orchestrate(t, nil)
	s.fleet = spawn(t, standin.Spawn{CallbackURL: o.URL("/ready"),
		Args: append(args, "--tls-cert", s.files.Cert, "--tls-key", s.files.Key, "--tls-client-ca", s.files.CA)})
	s.base = fmt.Sprintf("https://127.0.0.1:%d", s.Port)
	waitReady(t, s.client(), s.base) // probes need no certificate
	if want := fmt.Sprintf(`"uri":"https://localhost:%d"`, s.Port); !strings.Contains(string(o.Calls()[0].Body), want) {
		t.Errorf("told %s, want %s", o.Calls()[0].Body, want)
	}
	return s
}

// client is a new one: it makes a handshake of its own.
func (s *secure) client(leaves ...certstest.Leaf) *http.Client {
	config := &tls.Config{RootCAs: s.servers.Pool()}
	for _, l := range leaves {
		pair := l.Pair(s.t())
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	tr := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	s.t().Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (s *secure) t() *testing.T { return s.fleet.t }

// shown is the serial number of the certificate that a new client is shown.
func (s *secure) shown() int64 {
	s.t().Helper()
	resp, err := s.client().Get(s.base + "/live")
	if err != nil {
		s.t().Fatal(err)
	}
	defer resp.Body.Close()
	return resp.TLS.PeerCertificates[0].SerialNumber.Int64()
}

// A certificate is rotated while a stream runs: the stream goes on, who connects next is shown the new one.
func TestCertificateIsRotatedUnderAStream(t *testing.T) {
	s := startSecure(t)
	known := s.client(s.clients.Issue(time.Now().Add(time.Hour)))
	body, err := json.Marshal(endless("running"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := known.Post(s.base+"/execute", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
		t.Fatalf("%s %s", resp.Proto, resp.Status)
	}
	if got := s.shown(); got != 2 {
		t.Fatalf("certificate %d before the rotation", got)
	}
	s.files.Write(t, s.servers.Issue(time.Now().Add(time.Hour)))
	eventually(t, "the new certificate is shown", patience, func() bool { return s.shown() == 3 })
	again, err := known.Post(s.base+"/cancel/running", "", nil) // over the connection from before
	if err != nil || again.StatusCode != 202 {
		t.Fatal(again, err)
	}
	again.Body.Close()
	last := ""
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if lines.Text() != "" {
			last = lines.Text()
		}
	}
	if !strings.Contains(last, `"type":"error"`) && !strings.Contains(last, `"type":"end"`) {
		t.Errorf("the stream was cut by the rotation: %q", last)
	}
}

// A drain ends streams over HTTP/2 with their terminal frame, as over HTTP/1.
func TestDrainOverHTTP2(t *testing.T) {
	s := startSecure(t, "--drain-timeout", "200ms")
	body, err := json.Marshal(endless("running"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client(s.clients.Issue(time.Now().Add(time.Hour))).Post(s.base+"/execute", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, first); err != nil || resp.ProtoMajor != 2 {
		t.Fatal(resp.Proto, err)
	}
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(resp.Body)
	if n := strings.Count(string(rest), `"type":"error"`) + strings.Count(string(rest), `"type":"end"`); n != 1 || err != nil {
		t.Errorf("%d terminal frames, %v: %.300s", n, err, rest[max(0, len(rest)-300):])
	}
	s.exits(0, patience)
}

func TestClientCertificates(t *testing.T) {
	s := startSecure(t)
	generates(t, s.client(s.clients.Issue(time.Now().Add(time.Hour))), s.base)
	for what, leaf := range map[string]certstest.Leaf{
		"expired": s.clients.Issue(time.Now().Add(-time.Minute)), "of another authority": s.servers.Issue(time.Now().Add(time.Hour)),
	} {
		if resp, err := s.client(leaf).Get(s.base + "/live"); err == nil {
			resp.Body.Close()
			t.Errorf("%s: %s", what, resp.Status)
		}
	}
	resp, err := s.client().Post(s.base+"/shutdown", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("without a certificate: %s", resp.Status)
	}
}

func TestUnusableCertificateEndsTheWorkerAtStart(t *testing.T) {
	files, socket := certstest.NewFiles(t), filepath.Join(t.TempDir(), "w.sock")
	f := spawn(t, standin.Spawn{Args: []string{"--tls-cert", files.Cert, "--tls-key", files.Key, "--unix-socket", socket}})
	f.exits(1, patience)
	if !strings.Contains(f.LogText(), files.Cert) {
		t.Error(f.LogText())
	}
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket it had opened is left behind: %v", err)
	}
}

// Profiles are on their own listener, for the admin token alone.
func TestProfiles(t *testing.T) {
	port, err := standin.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	f := spawn(t, standin.Spawn{Args: []string{"--debug-addr", address}, Env: []string{"LLORCH_ADMIN_TOKEN=adm1n"}})
	f.healthy()
	for token, want := range map[string]int{"adm1n": 200, "wrong": 401, "": 401} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+"/debug/pprof/goroutine?debug=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || err != nil || (want == 200) != bytes.Contains(text, []byte("goroutine profile")) {
			t.Errorf("token %q: %s %.80s %v", token, resp.Status, text, err)
		}
	}
	if status, _ := f.get("GET", "/debug/pprof/goroutine", nil, "Authorization", "Bearer adm1n"); status != 404 {
		t.Errorf("on the serving port: %d", status)
	}
	if status, _ := f.get("POST", "/shutdown", nil); status != 401 {
		t.Errorf("/shutdown without the admin token: %d", status)
	}
	if status, _ := f.get("POST", "/shutdown", nil, "Authorization", "Bearer adm1n"); status != 202 {
		t.Errorf("/shutdown with the admin token: %d", status)
	}
	f.exits(0, patience)
	http.DefaultClient.CloseIdleConnections()
}

func TestListenerSettingsThatAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"--port", "8080", "--debug-addr", "0.0.0.0:6060"},
		{"--port", "8080", "--tls-cert", "/c.pem"},
		{"--port", "8080", "--tls-client-ca", "/ca.pem"},
		{"--port", "8080", "--unix-socket", "w.sock"},
		{"--unix-socket", "/tmp/w.sock", "--callback-url", "http://localhost:1/ready"},
		{},
	} {
		err := exec.Command(binary, append([]string{"--model", model}, args...)...).Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%q: %v, want exit status 2", args, err)
		}
	}
}
