package callback

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// authority makes one, and the file of its certificate.
func authority(t *testing.T, dir string) (*standin.Authority, string) {
	t.Helper()
	a := must[*standin.Authority](t)(standin.NewAuthority("stand-in authority"))
	return a, must[string](t)(a.WriteCA(dir))
}

// secure opens an orchestrator with a certificate of the authority that is good until a moment.
func secure(t *testing.T, a *standin.Authority, dir string, until time.Time, askClients bool, how standin.Listener) *standin.Orchestrator {
	t.Helper()
	cert, key, err := a.Issue(dir, "orchestrator", until)
	if err != nil {
		t.Fatal(err)
	}
	how.TLS, err = a.Server(cert, key, askClients)
	if err != nil {
		t.Fatal(err)
	}
	return orchestrator(t, how)
}

// A certificate that has expired ends no registered worker. One that starts with it ends at once, with the reason.
func TestExpiredCertificate(t *testing.T) {
	dir, port, registry := t.TempDir(), freePort(t), &standin.Registry{}
	a, ca := authority(t, dir)
	how := standin.Listener{Port: port, Answer: registry.Answer}
	o := secure(t, a, dir, time.Now().Add(time.Hour), false, how)
	options := Options{URL: o.URL("/ready"), QueenURL: o.URL(""), Files: Files{CA: ca}}
	l := live(t, options).register()
	o.Close()
	o = secure(t, a, dir, time.Now().Add(-time.Minute), false, how)
	l.await("untrusted", func() bool { return l.count(Untrusted) > 2 })
	if s := l.state(); s != Lost && s != Reregistering {
		t.Errorf("%s", s)
	}
	late := live(t, options)
	if err := late.client.Ready(t.Context(), sample()); err == nil || !strings.Contains(err.Error(), "expired") || late.count(Untrusted) != 1 {
		t.Errorf("a start with an expired certificate: %v, %s", err, late.told())
	}
	o.Close()
	secure(t, a, dir, time.Now().Add(time.Hour), false, how)
	l.awaitState(Registered)
}

// Our own authority is trusted instead of the system's, not beside it; another's certificate is refused.
func TestOtherAuthority(t *testing.T) {
	mine, theirs := t.TempDir(), t.TempDir()
	_, ca := authority(t, mine)
	other, _ := authority(t, theirs)
	o := secure(t, other, theirs, time.Now().Add(time.Hour), false, standin.Listener{})
	for _, files := range []Files{{}, {CA: ca}} {
		l := live(t, Options{URL: o.URL("/ready"), Files: files})
		if err := l.client.Ready(t.Context(), sample()); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%+v: %v", files, err)
		}
	}
	if len(o.Calls()) > 0 {
		t.Error("an orchestrator that is not trusted was told something")
	}
}

// An orchestrator that asks for a certificate gets ours, and the one that has replaced it.
func TestClientCertificate(t *testing.T) {
	dir, registry := t.TempDir(), &standin.Registry{}
	a, ca := authority(t, dir)
	o := secure(t, a, dir, time.Now().Add(time.Hour), true, standin.Listener{Answer: registry.Answer})
	without := live(t, Options{URL: o.URL("/ready"), Files: Files{CA: ca}})
	if err := without.client.Ready(t.Context(), sample()); err == nil || without.count(Untrusted) != 1 {
		t.Errorf("without a certificate: %v, %s", err, without.told())
	}
	cert, key, err := a.Issue(dir, "worker", time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	files := Files{CA: ca, Cert: cert, Key: key}
	if err := live(t, Options{URL: o.URL("/ready"), Files: files}).client.Ready(t.Context(), sample()); err == nil {
		t.Error("an expired certificate of ours was taken")
	}
	replace := func(until time.Time) {
		t.Helper()
		if _, _, err := a.Issue(dir, "worker", until); err != nil {
			t.Fatal(err)
		}
	}
	replace(time.Now().Add(time.Hour))
	l := live(t, Options{URL: o.URL("/ready"), QueenURL: o.URL(""), Files: files}).register()
	replace(time.Now().Add(-time.Minute))
	l.await("the replaced one is shown", func() bool { return l.count(Untrusted) > 0 })
	replace(time.Now().Add(time.Hour))
	l.awaitState(Registered)
	write(t, cert, "half a certif") // being written: the last good pair goes on
	before := l.count(Accepted)
	l.await("heartbeats go on", func() bool { return l.count(Accepted) > before+3 })
	if l.state() != Registered {
		t.Errorf("%s", l.state())
	}
}

// The receiver of this test checks signatures by the description, and follows a secret that is replaced.
func TestSignature(t *testing.T) {
	secret := write(t, filepath.Join(t.TempDir(), "secret"), "0123456789abcdef\n")
	registry := &standin.Registry{Secret: []byte("0123456789abcdef")}
	o := orchestrator(t, standin.Listener{Answer: registry.Answer})
	l := live(t, Options{URL: o.URL("/ready"), HiveURL: o.URL(""), Files: Files{Secret: secret}}).register()
	l.await("signed heartbeats", func() bool { m, _ := registry.Member("w-17"); return m.Beats > 2 })
	if all := registry.Refused(); len(all) > 0 {
		t.Error(all)
	}
	write(t, secret, "another secret, longer than the minimum")
	l.await("the new secret is used", func() bool { return len(registry.Refused()) > 0 })
	if l.state() != Registered { // a heartbeat that is refused is no loss
		t.Errorf("%s", l.state())
	}
	unsigned := live(t, Options{URL: o.URL("/ready")})
	if err := unsigned.client.Ready(t.Context(), sample()); !errors.Is(err, ErrRefused) {
		t.Errorf("without a signature: %v", err)
	}
	body := string(o.Calls()[0].Body)
	if body != `{"worker_id":"w-17","vram_bytes":2200119864,"uri":"http://localhost:8004"}` {
		t.Errorf("a signed v1 body is %s", body)
	}
}

// The figure was computed with another program from the description: printf '1762070400.e.{}' | openssl dgst -sha256 -hmac …
func TestSignatureValue(t *testing.T) {
	const want = "t=1762070400,v1=4deb9c150aa5ccd440018e9aea55bbcd16eb94bd7a069cc2263e3bf37dfb4768"
	if got := sign([]byte("0123456789abcdef"), start, "e", []byte("{}")); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	text := write(t, filepath.Join(dir, "text"), "short")
	for name, f := range map[string]Files{
		"no such file":        {CA: filepath.Join(dir, "none")},
		"not PEM":             {CA: text},
		"a folder":            {Secret: dir},
		"too short":           {Secret: text},
		"key without its own": {Key: text},
		"no pair":             {Cert: text, Key: text},
		"too large":           {Secret: write(t, filepath.Join(dir, "large"), strings.Repeat("x", maxFileBytes+1))},
	} {
		if _, err := New(Options{URL: "http://h", Files: f}); err == nil || !strings.HasPrefix(err.Error(), "callback: ") || strings.Contains(err.Error(), "short:") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A name is looked up for each attempt: a receiver that moved is found, and no connection to the old one is kept. No
// proxy of the environment is asked, which would see the token.
func TestNamesAreLookedUpEachTime(t *testing.T) {
	proxy := orchestrator(t, standin.Listener{})
	t.Setenv("HTTP_PROXY", proxy.URL(""))
	t.Setenv("http_proxy", proxy.URL(""))
	var registry standin.Registry
	first := orchestrator(t, standin.Listener{Answer: registry.Answer})
	second := orchestrator(t, standin.Listener{Answer: registry.Answer})
	var mu sync.Mutex
	var asked []string
	at := first
	l := live(t, Options{URL: "http://orchestrator.test/ready", HiveURL: "http://orchestrator.test"})
	dial := l.client.dial
	l.client.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		mu.Lock()
		asked = append(asked, address)
		to := strings.TrimPrefix(at.URL(""), "http://")
		mu.Unlock()
		return dial(ctx, network, to)
	}
	l.register()
	l.await("calls of the first", func() bool { return len(first.Calls()) > 2 })
	mu.Lock()
	at = second // the first goes on to listen: a kept connection would still be served
	mu.Unlock()
	l.await("calls of the second", func() bool { return len(second.Calls()) > 2 })
	_ = l.end()
	mu.Lock()
	defer mu.Unlock()
	if n := len(first.Calls()) + len(second.Calls()); len(asked) < n {
		t.Errorf("%d calls over %d connections", n, len(asked))
	}
	if slices.ContainsFunc(asked, func(a string) bool { return a != "orchestrator.test:80" }) || len(proxy.Calls()) > 0 {
		t.Errorf("asked for %v, %d calls of the proxy", asked, len(proxy.Calls()))
	}
}

// Whatever a name leads to is judged after it was looked up.
func TestAddressesThatAreNeverCalled(t *testing.T) {
	for address, ok := range map[string]bool{
		"169.254.169.254:80": false, "[fe80::1]:80": false, "[::ffff:169.254.169.254]:80": false, "224.0.0.1:80": false, "[ff02::1]:80": false,
		"nonsense": false, "127.0.0.1:80": true, "10.0.0.1:443": true, "[::1]:80": true, "192.168.1.1:1": true,
	} {
		if err := refuseAddress("tcp", address, nil); (err == nil) != ok || err != nil && !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", address, err)
		}
	}
	l := live(t, Options{URL: "http://169.254.169.254/latest/api/token"})
	if err := l.client.Ready(t.Context(), sample()); !errors.Is(err, ErrForbidden) || l.count(Forbidden) != 1 {
		t.Errorf("%v, %s", err, l.told())
	}
}

// Neither token nor signature follow a redirect to another host, of any of the calls.
func TestCredentialsStayHome(t *testing.T) {
	other := orchestrator(t, standin.Listener{})
	secret := write(t, filepath.Join(t.TempDir(), "secret"), "0123456789abcdef")
	o := orchestrator(t, standin.Listener{Reply: func(n int, c standin.Call, w http.ResponseWriter) bool {
		return c.Path != "/ready" && standin.Redirect(other.URL("/steal"))(n, c, w)
	}})
	l := live(t, Options{URL: o.URL("/ready"), HiveURL: o.URL(""), DeregisterURL: o.URL("/deregister"), Files: Files{Secret: secret}}).register()
	l.await("redirected heartbeats", func() bool { return l.count(Redirected) > 1 })
	l.client.Drained(DrainReport{})
	l.awaitState(Deregistered)
	if calls := other.Calls(); len(calls) > 0 {
		t.Errorf("%+v", calls)
	}
	for _, c := range o.Calls() {
		if c.Header.Get(SignatureHeader) == "" || c.Header.Get("Authorization") == "" {
			t.Errorf("%s: %v", c.Path, c.Header)
		}
	}
}
