package callback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is one request as the receiver saw it.
type call struct {
	method, path, body string
	header             http.Header
}

// receiver is a real HTTP server that answers with the given statuses in turn, the last one for ever.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	calls []call
}

func receive(t *testing.T, statuses ...int) *receiver {
	t.Helper()
	return receiveWith(t, func(w http.ResponseWriter, n int) {
		status := statuses[min(n, len(statuses)-1)]
		w.WriteHeader(status)
		fmt.Fprintf(w, "answer %d\n", status)
	})
}

// receiveWith counts calls from 0 and lets answer write the reply.
func receiveWith(t *testing.T, answer func(w http.ResponseWriter, n int)) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		n := len(r.calls)
		r.calls = append(r.calls, call{req.Method, req.URL.Path, string(body), req.Header.Clone()})
		r.mu.Unlock()
		answer(w, n)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) seen() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call(nil), r.calls...)
}

// quick makes a client that waits little, and its log.
func quick(t *testing.T, o Options) (*Client, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	o.Log = slog.New(slog.NewJSONHandler(log, nil))
	if o.WaitMin == 0 {
		o.WaitMin, o.WaitMax = time.Millisecond, 10*time.Millisecond
	}
	if o.Window == 0 {
		o.Window = 10 * time.Second
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, log
}

func TestAcceptedAtOnce(t *testing.T) {
	for path, profile := range map[string]string{
		"/ready": ProfileV1, "/v2/internal/workers/ready": ProfileV1S, "/v1/workers/ready": ProfileV2,
	} {
		r := receive(t, http.StatusCreated)
		c, log := quick(t, Options{URL: r.URL + path, Token: "s3cret", UserAgent: "llorch/1"})
		if err := c.Ready(t.Context(), sample()); err != nil {
			t.Fatal(err)
		}
		want, err := sample().body(profile)
		if err != nil {
			t.Fatal(err)
		}
		calls := r.seen()
		if len(calls) != 1 || calls[0].body != string(want) || calls[0].method != http.MethodPost || calls[0].path != path || c.Profile() != profile {
			t.Fatalf("%s: %+v, want one POST of %s", path, calls, want)
		}
		h := calls[0].header
		if h.Get("Content-Type") != "application/json" || h.Get("Authorization") != "Bearer s3cret" || h.Get("User-Agent") != "llorch/1" {
			t.Errorf("%s: headers %v", path, h)
		}
		if log.Len() != 0 {
			t.Errorf("%s: logged %s", path, log)
		}
	}
}

func TestProfileOverridesPath(t *testing.T) {
	r := receive(t, 200)
	c, _ := quick(t, Options{URL: r.URL + "/v1/workers/ready", Profile: ProfileV1})
	if err := c.Ready(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	if calls := r.seen(); len(calls) != 1 || strings.Contains(calls[0].body, "model_ref") || calls[0].header.Get("Authorization") != "" {
		t.Errorf("calls %+v", calls)
	}
}

func TestProfileNoneCallsNobody(t *testing.T) {
	r := receive(t, 400)
	c, _ := quick(t, Options{URL: r.URL, Profile: ProfileNone})
	if err := c.Ready(t.Context(), sample()); err != nil || len(r.seen()) != 0 {
		t.Errorf("%v, %d calls", err, len(r.seen()))
	}
	if _, err := New(Options{Profile: ProfileNone}); err != nil {
		t.Errorf("none needs no URL: %v", err)
	}
}

func TestServerErrorsAreRepeated(t *testing.T) {
	r := receive(t, 503, 500, 501, 200)
	c, log := quick(t, Options{URL: r.URL + "/ready"})
	if err := c.Ready(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	calls := r.seen()
	if len(calls) != 4 {
		t.Fatalf("%d calls, want 4", len(calls))
	}
	for i, call := range calls {
		if call.body != calls[0].body || call.body == "" {
			t.Errorf("attempt %d sent %q", i+1, call.body)
		}
	}
	if n := strings.Count(log.String(), `"level":"WARN"`); n != 3 || strings.Count(log.String(), "\n") != 3 {
		t.Errorf("%d warnings, want one for each of 3 failed attempts:\n%s", n, log)
	}
}

func TestListenerAppearsLater(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close() // from here on connections are refused
	c, log := quick(t, Options{URL: "http://" + addr + "/ready"})
	done := make(chan error, 1)
	go func() { done <- c.Ready(context.Background(), sample()) }()
	select {
	case err := <-done:
		t.Fatalf("gave up on a refused connection: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	l, err = net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{}, 10)
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served <- struct{}{} })}
	go srv.Serve(l)
	defer srv.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(served) != 1 || !strings.Contains(log.String(), "connection refused") {
		t.Errorf("%d calls; log %s", len(served), log)
	}
}

func TestRefusalIsFinal(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 408, 409, 422, 429, 304} {
		r := receiveWith(t, func(w http.ResponseWriter, _ int) {
			w.WriteHeader(status)
			if status != 304 { // has no body
				io.WriteString(w, "bad worker_id\x1b[31m\r\nfor s3cret "+strings.Repeat("é", 5000))
			}
		})
		c, log := quick(t, Options{URL: r.URL + "/ready?key=s3cret", Token: "s3cret"})
		err := c.Ready(t.Context(), sample())
		var refused *RefusedError
		if !errors.Is(err, ErrRefused) || !errors.As(err, &refused) || refused.Status != status {
			t.Fatalf("%d: error %v", status, err)
		}
		if len(r.seen()) != 1 {
			t.Errorf("%d was repeated: %d calls", status, len(r.seen()))
		}
		if all := err.Error() + log.String(); strings.Contains(all, "s3cret") || strings.ContainsRune(err.Error(), '\x1b') || len(refused.Reply) > 1000 {
			t.Errorf("%d: %s", status, all)
		}
		if status != 304 && !strings.Contains(err.Error(), "bad worker_id") {
			t.Errorf("%d: the reply's reason is missing: %v", status, err)
		}
	}
}

func TestWindowEnds(t *testing.T) {
	r := receive(t, 503)
	c, log := quick(t, Options{URL: r.URL, Window: 60 * time.Millisecond})
	start := time.Now()
	err := c.Ready(t.Context(), sample())
	if !errors.Is(err, ErrGaveUp) || !strings.Contains(err.Error(), "503") {
		t.Fatalf("error %v", err)
	}
	if d := time.Since(start); d < 60*time.Millisecond || d > 5*time.Second {
		t.Errorf("gave up after %v, the window is 60ms", d)
	}
	if n := len(r.seen()); strings.Count(log.String(), "\n") != n {
		t.Errorf("%d calls, log:\n%s", n, log)
	}
}

func TestCertificateErrorIsFinal(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	c, log := quick(t, Options{URL: srv.URL})
	err := c.Ready(t.Context(), sample())
	if err == nil || !strings.Contains(err.Error(), "certificate") || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("%v\n%s", err, log)
	}
}

// The rule for the trial address, on a port that nobody else can own.
func TestTrialAddressWithNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	c, log := quick(t, Options{URL: "http://localhost:" + port + "/ready"})
	c.trial = true
	if err := c.Ready(t.Context(), sample()); !errors.Is(err, ErrTrialNobody) {
		t.Errorf("error %v", err)
	}
	if log.Len() != 0 {
		t.Errorf("logged %s", log)
	}
	r := receive(t, 503, 200) // somebody listens: the usual rules
	c, _ = quick(t, Options{URL: r.URL})
	c.trial = true
	if err := c.Ready(t.Context(), sample()); err != nil || len(r.seen()) != 2 {
		t.Errorf("%v after %d calls, want success after 2", err, len(r.seen()))
	}
	if c, _ := quick(t, Options{URL: trialAddress + "/any"}); !c.trial {
		t.Error("the trial address is not recognised")
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{
		{}, {URL: "ready"}, {URL: "ftp://h/x"}, {URL: "http://"}, {URL: "http://user:s3cret@/x"}, {URL: "http://h:s3cret"},
		{URL: "http://h", Profile: "v9"}, {URL: "://s3cret"},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "user:s3cret") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// Each attempt has one outcome; an attempt that we stop ourselves has none.
func TestAttemptsAreTold(t *testing.T) {
	closed := receive(t, 200)
	closed.Close()
	other := receive(t, 200)
	elsewhere := receiveWith(t, func(w http.ResponseWriter, _ int) {
		w.Header().Set("Location", other.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	for name, c := range map[string]struct {
		url    string
		window time.Duration
		want   []Outcome
	}{
		"accepted after two errors": {receive(t, 500, 503, 201).URL, 0, []Outcome{ServerError, ServerError, Accepted}},
		"refused":                   {receive(t, 422).URL, 0, []Outcome{Refused}},
		"not known":                 {receive(t, 404).URL, 0, []Outcome{Gone}},
		"taken":                     {receive(t, 409).URL, 0, []Outcome{Conflict}},
		"not now":                   {receive(t, 429).URL, 0, []Outcome{Busy}},
		"metadata of a cloud":       {"http://169.254.169.254/latest", 0, []Outcome{Forbidden}},
		"redirected":                {elsewhere.URL, 0, []Outcome{Redirected}},
		"nobody there":              {closed.URL, time.Nanosecond, []Outcome{Unreachable}},
	} {
		var got []Outcome
		o := Options{URL: c.url + "/ready", Window: c.window, Attempted: func(o Outcome) { got = append(got, o) }}
		client, _ := quick(t, o)
		_ = client.Ready(t.Context(), sample()) // its error is the business of other tests
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	stopped, stop := context.WithCancel(t.Context())
	r := receiveWith(t, func(w http.ResponseWriter, _ int) { stop(); w.WriteHeader(500) })
	client, _ := quick(t, Options{URL: r.URL, Attempted: func(o Outcome) { t.Errorf("%s for an attempt that was stopped", o) }})
	_ = client.Ready(stopped, sample())
}
