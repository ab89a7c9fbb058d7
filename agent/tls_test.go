package agent

import (
	"bufio"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"llorch/agent/certs"
	"llorch/deploy/demo/standin/certstest"
	"llorch/inference"
)

// secured is a fake's server on a second listener, with TLS.
type secured struct {
	*fixture
	url string
	ca  *certstest.Authority
}

// serveTLS asks for client certificates of the same authority if clients is set.
func serveTLS(t *testing.T, f *fixture, clients bool) *secured {
	t.Helper()
	s := &secured{fixture: f, ca: certstest.New(t, "ca")}
	files := certstest.NewFiles(t)
	files.Write(t, s.ca.Issue(time.Now().Add(time.Hour)))
	o := certs.Options{Cert: files.Cert, Key: files.Key, Log: slog.New(slog.DiscardHandler)}
	if clients {
		certstest.Replace(t, files.CA, s.ca.PEM())
		o.ClientCA, f.server.clientCertificates = files.CA, true
	}
	store, err := certs.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.server.Serve(tls.NewListener(l, store.Config())) }()
	t.Cleanup(func() {
		f.server.http.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	s.url = "https://" + l.Addr().String()
	return s
}

// client speaks HTTP/2 and shows a certificate where one is given.
func (s *secured) client(pairs ...tls.Certificate) *http.Client {
	tr := &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: s.ca.Pool(), Certificates: pairs},
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10, MaxReceiveBufferPerConnection: 64 << 10},
	}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (s *secured) post(ctx context.Context, c *http.Client, path, body string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (f *fixture) idle() bool {
	f.server.jobs.mu.Lock()
	defer f.server.jobs.mu.Unlock()
	return len(f.server.jobs.running) == 0
}

// Frames come one by one over HTTP/2 as well, and a client that resets its stream ends its job.
func TestStreamAndCancelOverHTTP2(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: untilCancelled}, nil)
	s := serveTLS(t, f, false)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	resp := s.post(ctx, s.client(), "/execute", good)
	if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Proto, resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	for _, kind := range []string{"started", "token"} {
		if !lines.Scan() || !strings.Contains(lines.Text(), `"type":"`+kind+`"`) {
			t.Fatalf("no %s frame while the stream runs: %q %v", kind, lines.Text(), lines.Err())
		}
		lines.Scan()
	}
	leave()
	eventually(t, "the job is over", f.idle)
}

// HTTP/2 resets a stream when a deadline passes, also while nothing is written:
// a quiet stream must outlive the time that one write may take.
func TestQuietStreamOverHTTP2OutlivesTheWriteTimeout(t *testing.T) {
	release := make(chan struct{})
	e := &fakeEngine{script: func(_ context.Context, _ inference.Request, send func(inference.Event)) {
		send(inference.Event{Text: "x"})
		<-release
		send(inference.Event{End: &inference.End{Reason: inference.StopMaxTokens, TokensOut: 1}})
	}}
	s := serveTLS(t, serveFake(t, e, func(o *ServerOptions) { o.WriteTimeout = 100 * time.Millisecond }), false)
	resp := s.post(t.Context(), s.client(), "/execute", good)
	time.AfterFunc(300*time.Millisecond, func() { close(release) }) // before the next metrics frame
	if got := text(t, resp); !strings.Contains(got, `"type":"end"`) {
		t.Errorf("%s", got)
	}
}

// A reader that stands still is given up after the write timeout, over HTTP/2 too.
func TestStalledReaderOverHTTP2IsGivenUp(t *testing.T) {
	e := &fakeEngine{script: func(ctx context.Context, r inference.Request, send func(inference.Event)) {
		for i := range r.MaxTokens {
			send(inference.Event{Text: strings.Repeat("x", 32<<10), Index: i}) // far more than windows hold
		}
		<-ctx.Done()
		send(inference.Event{Err: causeOf(ctx)})
	}}
	f := serveFake(t, e, func(o *ServerOptions) { o.WriteTimeout = 200 * time.Millisecond })
	s := serveTLS(t, f, false)
	s.post(t.Context(), s.client(), "/execute", `{"job_id":"slow","prompt":"p","max_tokens":256}`) // whose body nobody reads
	eventually(t, "the job is over", f.idle)
}

func TestClientCertificateOpensRoutes(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	s := serveTLS(t, f, true)
	known, unknown := s.client(s.ca.Issue(time.Now().Add(time.Hour)).Pair(t)), s.client()
	for _, path := range []string{"/live", "/ready", "/health", "/metrics"} { // a kubelet has no certificate
		resp, err := unknown.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s without a certificate: %d", path, resp.StatusCode)
		}
	}
	for _, path := range []string{"/execute", "/cancel/x", "/shutdown"} {
		resp := s.post(t.Context(), unknown, path, good)
		if body := text(t, resp); resp.StatusCode != 403 || !strings.Contains(body, "CLIENT_CERTIFICATE_REQUIRED") {
			t.Errorf("%s without a certificate: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp := s.post(t.Context(), known, "/execute", good); resp.StatusCode != 200 {
		t.Errorf("with a certificate: %d %s", resp.StatusCode, text(t, resp))
	} else {
		text(t, resp)
	}
	if log := f.log.String(); !strings.Contains(log, `"identity":"certificate:03"`) {
		t.Errorf("who it was is not in the log: %s", log)
	}
}

// A certificate is asked for beside the token, not instead of it.
func TestClientCertificateIsNoToken(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token = "s3cret" })
	s := serveTLS(t, f, true)
	known := s.client(s.ca.Issue(time.Now().Add(time.Hour)).Pair(t))
	if resp := s.post(t.Context(), known, "/execute", good); resp.StatusCode != 401 {
		t.Errorf("%d", resp.StatusCode)
	}
}

// The settings that close a worker are for its ports; a Unix socket has a file mode.
func TestUnixSocketNeedsNeitherHostNorCertificate(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Loopback, o.Token = true, "s3cret" })
	f.server.clientCertificates = true
	path := t.TempDir() + "/s"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.server.Serve(l) }()
	defer func() { l.Close(); <-done }()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer tr.CloseIdleConnections()
	for token, want := range map[string]int{"s3cret": 200, "wrong": 401} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://worker/v1/ready", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("token %s: %d, want %d", token, resp.StatusCode, want)
		}
	}
}
