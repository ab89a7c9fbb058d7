package certs

import (
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"llorch/deploy/demo/standin/certstest"
)

// clock is moved by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// rig is a store on files that the test changes.
type rig struct {
	t     *testing.T
	ca    *certstest.Authority
	files certstest.Files
	clock *clock
	log   strings.Builder // written by handshakes, which the tests wait for
	store *Store
}

func newRig(t *testing.T, clients *certstest.Authority) *rig {
	t.Helper()
	r := &rig{t: t, ca: certstest.New(t, "ca"), files: certstest.NewFiles(t), clock: &clock{now: time.Now()}}
	r.files.Write(t, r.ca.Issue(time.Now().Add(time.Hour)))
	o := Options{Cert: r.files.Cert, Key: r.files.Key, Log: slog.New(slog.NewTextHandler(&r.log, nil)), Now: r.clock.Now}
	if clients != nil {
		certstest.Replace(t, r.files.CA, clients.PEM())
		o.ClientCA = r.files.CA
	}
	var err error
	if r.store, err = Open(o); err != nil {
		t.Fatal(err)
	}
	return r
}

// shake makes one handshake over a real connection. It returns the serial number
// that the server showed and what the server, who speaks last, thought of the client.
func (r *rig) shake(client *tls.Config) (serial int64, clientErr, serverErr error) {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			err = tls.Server(conn, r.store.Config()).HandshakeContext(r.t.Context())
		}
		done <- err
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	if client.RootCAs == nil {
		client.RootCAs = r.ca.Pool()
	}
	client.ServerName = "localhost"
	c := tls.Client(conn, client)
	clientErr = c.HandshakeContext(r.t.Context())
	serverErr = <-done
	if certs := c.ConnectionState().PeerCertificates; len(certs) > 0 {
		serial = certs[0].SerialNumber.Int64()
	}
	return serial, clientErr, serverErr
}

func TestChangedFilesAreSeenByTheNextHandshake(t *testing.T) {
	r := newRig(t, nil)
	check := func(what string, want int64) {
		t.Helper()
		if got, err, _ := r.shake(&tls.Config{}); got != want || err != nil {
			t.Errorf("%s: certificate %d, want %d (%v)", what, got, want, err)
		}
	}
	check("at start", 2)
	r.files.Write(t, r.ca.Issue(time.Now().Add(time.Hour)))
	check("within a second", 2)
	r.clock.pass(checkEvery)
	check("after a second", 3)
	r.clock.pass(-time.Hour) // a clock that was set back must not stop the looks
	r.files.Write(t, r.ca.Issue(time.Now().Add(time.Hour)))
	check("after the clock was set back", 4)
}

func TestBrokenFilesKeepTheLastGood(t *testing.T) {
	r := newRig(t, nil)
	next := r.ca.Issue(time.Now().Add(time.Hour))
	for what, breakIt := range map[string]func(){
		"half written":     func() { certstest.Replace(t, r.files.Cert, next.Cert[:len(next.Cert)/2]) },
		"another's key":    func() { certstest.Replace(t, r.files.Key, next.Key) },
		"empty":            func() { certstest.Replace(t, r.files.Key, nil) },
		"key removed":      func() { os.Remove(r.files.Key) },
		"key is no longer": func() { certstest.Replace(t, r.files.Key, []byte("not PEM")) },
	} {
		before := strings.Count(r.log.String(), "cannot be used")
		breakIt()
		for range 3 {
			r.clock.pass(checkEvery)
			if got, err, _ := r.shake(&tls.Config{}); got != 2 || err != nil {
				t.Errorf("%s: certificate %d (%v)", what, got, err)
			}
		}
		if n := strings.Count(r.log.String(), "cannot be used") - before; n != 1 {
			t.Errorf("%s: logged %d times\n%s", what, n, r.log.String())
		}
	}
	r.files.Write(t, next)
	r.clock.pass(checkEvery)
	if got, err, _ := r.shake(&tls.Config{}); got != 3 || err != nil {
		t.Errorf("when the files are good again: certificate %d (%v)", got, err)
	}
}

func TestVersions(t *testing.T) {
	r := newRig(t, nil)
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		if _, err, _ := r.shake(&tls.Config{MinVersion: version, MaxVersion: version}); (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	clients := certstest.New(t, "clients")
	r := newRig(t, clients)
	show := func(leaves ...certstest.Leaf) *tls.Config {
		c := &tls.Config{}
		for _, l := range leaves {
			pair := l.Pair(t)
			// Shown whatever the server says it accepts.
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		return c
	}
	for what, c := range map[string]struct {
		config *tls.Config
		ok     bool
	}{
		"valid":            {show(clients.Issue(time.Now().Add(time.Hour))), true},
		"none":             {show(), true}, // the routes decide
		"expired":          {show(clients.Issue(time.Now().Add(-time.Hour))), false},
		"other authority":  {show(r.ca.Issue(time.Now().Add(time.Hour))), false},
		"the same by name": {show(certstest.New(t, "clients").Issue(time.Now().Add(time.Hour))), false},
	} {
		if _, _, err := r.shake(c.config); (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Who is no longer trusted cannot come back with a session from before.
func TestNewAuthoritiesEndResumption(t *testing.T) {
	clients, others := certstest.New(t, "clients"), certstest.New(t, "others")
	r := newRig(t, clients)
	config := &tls.Config{
		Certificates: []tls.Certificate{clients.Issue(time.Now().Add(time.Hour)).Pair(t)}, RootCAs: r.ca.Pool(),
		ClientSessionCache: tls.NewLRUClientSessionCache(4), MaxVersion: tls.VersionTLS12, // whose handshake carries the ticket
	}
	for range 2 {
		if _, _, err := r.shake(config); err != nil {
			t.Fatal(err)
		}
	}
	certstest.Replace(t, r.files.CA, others.PEM())
	r.clock.pass(checkEvery)
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &config.Certificates[0], nil }
	if _, _, err := r.shake(config); err == nil {
		t.Error("a client of the old authority was let in")
	}
}

func TestUnusableFilesAreRefusedAtStart(t *testing.T) {
	ca, files := certstest.New(t, "ca"), certstest.NewFiles(t)
	log := slog.New(slog.DiscardHandler)
	if _, err := Open(Options{Cert: files.Cert, Key: files.Key, Log: log}); err == nil || !strings.Contains(err.Error(), files.Cert) {
		t.Errorf("missing files: %v", err)
	}
	files.Write(t, ca.Issue(time.Now().Add(time.Hour)))
	certstest.Replace(t, files.CA, []byte("no certificate here"))
	if _, err := Open(Options{Cert: files.Cert, Key: files.Key, ClientCA: files.CA, Log: log}); err == nil || !strings.Contains(err.Error(), files.CA) {
		t.Errorf("authorities without a certificate: %v", err)
	}
	if _, err := Open(Options{Cert: files.Key, Key: files.Cert, Log: log}); err == nil {
		t.Error("exchanged files are taken")
	}
}

func TestWhatIsWrongButUsableIsTold(t *testing.T) {
	for what, c := range map[string]struct {
		mode  os.FileMode
		until time.Duration
		warns string // "" = nothing
	}{
		"closed":      {0o600, time.Hour, ""},
		"for a group": {0o640, time.Hour, ""},
		"for all":     {0o644, time.Hour, "chmod 640"},
		"expired":     {0o600, -time.Minute, "not valid now"},
	} {
		ca, files := certstest.New(t, "ca"), certstest.NewFiles(t)
		files.Write(t, ca.Issue(time.Now().Add(c.until)))
		if err := os.Chmod(files.Key, c.mode); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		if _, err := Open(Options{Cert: files.Cert, Key: files.Key, Log: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
			t.Fatal(err)
		}
		if warned := strings.Contains(log.String(), "level=WARN"); warned != (c.warns != "") || !strings.Contains(log.String(), c.warns) {
			t.Errorf("%s: %s", what, log.String())
		}
	}
}
