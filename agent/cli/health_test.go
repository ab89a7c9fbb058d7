package cli

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"llorch/config"
)

func TestLocalAddress(t *testing.T) {
	for host, want := range map[string]string{
		"": "127.0.0.1:8080", "0.0.0.0": "127.0.0.1:8080", "::": "[::1]:8080", "192.0.2.7": "192.0.2.7:8080", "localhost": "localhost:8080",
	} {
		if got := localAddress(config.Config{Host: host, Port: 8080}); got != want {
			t.Errorf("%q: %s, want %s", host, got, want)
		}
	}
}

// probed answers like a worker: alive, not ready, and on other paths nothing
// until the test ends.
func probed(t *testing.T) http.Handler {
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/live":
			_, _ = w.Write([]byte(`{"ready":false}` + "\n"))
		case "/ready":
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write(bytes.Repeat([]byte("x"), 2*healthBytes))
		default:
			select {
			case <-ended:
			case <-r.Context().Done():
			}
		}
	})
}

// The worker is asked where its settings say that it listens.
func TestAskHealth(t *testing.T) {
	plain, secure := httptest.NewServer(probed(t)), httptest.NewTLSServer(probed(t))
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	path := filepath.Join(t.TempDir(), "s")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	local := &httptest.Server{Listener: unix, Config: &http.Server{Handler: probed(t)}}
	local.Start()
	t.Cleanup(local.Close)
	port := func(s *httptest.Server) int { return s.Listener.Addr().(*net.TCPAddr).Port }
	for name, cfg := range map[string]config.Config{
		"port": {Port: port(plain)}, "TLS": {Port: port(secure), TLSCert: "given"}, "Unix socket": {UnixSocket: path},
	} {
		for _, c := range []struct {
			path, out, err string
			wait           time.Duration
		}{
			{"/live", `{"ready":false}` + "\n", "", time.Minute},
			{"/ready", strings.Repeat("x", healthBytes) + "\n", "/ready answered 503", time.Minute},
			{"/silent", "", "deadline exceeded", 50 * time.Millisecond},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), c.wait)
			var out bytes.Buffer
			err := askHealth(ctx, cfg, c.path, &out)
			cancel()
			if out.String() != c.out || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s %s: %v, %.80q", name, c.path, err, out.String())
			}
		}
	}
}
