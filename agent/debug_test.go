package agent

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Profiles are on the debug listener and nowhere else, and the serving routes
// are not on that one.
func TestProfilesHaveTheirOwnListener(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- f.server.ServeDebug(l) }()
	get := func(base, path string) (int, string) {
		t.Helper()
		resp, err := f.Client().Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode, text(t, resp)
	}
	debug := "http://" + l.Addr().String()
	if status, body := get(debug, "/debug/pprof/goroutine?debug=1"); status != 200 || !strings.Contains(body, "goroutine profile:") {
		t.Errorf("%d %.80s", status, body)
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/symbol"} {
		if status, _ := get(debug, path); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
		if status, _ := get(f.URL, path); status != 404 {
			t.Errorf("%s on the serving port: %d", path, status)
		}
	}
	for _, path := range []string{"/debug/pprof/cmdline", "/health", "/execute", "/debug/pprof", "/"} {
		if status, _ := get(debug, path); status != 404 {
			t.Errorf("%s on the debug listener: %d", path, status)
		}
	}
	if err := f.server.debug.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A page whose name was re-bound to 127.0.0.1 reads no profile, even where the
// worker itself serves the network.
func TestProfilesAskForTheirOwnHost(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	for host, want := range map[string]int{"localhost:6060": 200, "127.0.0.1:6060": 200, "evil.example": http.StatusForbidden} {
		r := httptest.NewRequest("GET", "/debug/pprof/goroutine?debug=1", nil)
		r.Host = host
		w := httptest.NewRecorder()
		f.server.debug.Handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", host, w.Code, want)
		}
	}
}
