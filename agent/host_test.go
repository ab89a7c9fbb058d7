package agent

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
)

// Old managers probe with HTTP/1.0 and no Host header.
func TestHTTP10WithoutHostOnLoopback(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Loopback = true })
	conn, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /health HTTP/1.0\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", resp.Status, text(t, resp))
	}
}

// A page of any site can make a browser post to localhost without asking first;
// it must not be able to stop the worker or a job.
func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	stopped := false
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) {
		o.Stop = func(string) bool { stopped = true; return true }
	})
	for _, h := range [][2]string{{"Origin", "http://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}} {
		for _, path := range []string{"/shutdown", "/cancel/j1"} {
			resp := f.do("POST", path, "", h[0], h[1])
			if body := text(t, resp); resp.StatusCode != http.StatusForbidden || resp.Header.Get("X-Correlation-ID") == "" {
				t.Errorf("%v %s: %d %s", h, path, resp.StatusCode, body)
			}
		}
		if resp := f.do("GET", "/health", "", h[0], h[1]); resp.StatusCode != http.StatusOK {
			t.Errorf("%v: reading is refused with %d", h, resp.StatusCode)
		}
	}
	if stopped {
		t.Error("another site's page stopped the worker")
	}
	for _, h := range [][2]string{{"Origin", f.URL}, {"Sec-Fetch-Site", "same-origin"}, {"User-Agent", "a program"}} {
		if resp := f.do("POST", "/execute", good, h[0], h[1]); resp.StatusCode != http.StatusOK {
			t.Errorf("%v: %d %s", h, resp.StatusCode, text(t, resp))
		} else {
			text(t, resp)
		}
	}
	if f.do("POST", "/shutdown", ""); !stopped {
		t.Error("a program could not stop the worker")
	}
}
