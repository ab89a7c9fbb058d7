package cli

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
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

func TestAskHealth(t *testing.T) {
	silent := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/live":
			_, _ = w.Write([]byte(`{"ready":false}` + "\n"))
		case "/ready":
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write(bytes.Repeat([]byte("x"), 2*healthBytes))
		default:
			<-silent
		}
	}))
	defer s.Close()
	defer close(silent)
	_, text, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Config{Port: port}
	t.Setenv("http_proxy", "http://127.0.0.1:1")
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
			t.Errorf("%s: %v, %.80q", c.path, err, out.String())
		}
	}
}
