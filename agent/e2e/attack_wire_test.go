package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// wire sends bytes as they are and returns all that comes back until the worker
// closes the connection, and whether it did so within twenty seconds.
func (f *fleet) wire(raw string) (answer string, closed bool) {
	f.t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", f.Port))
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		f.t.Fatal(err)
	}
	_, _ = io.WriteString(c, raw) // the worker may have had enough before it ends
	text, err := io.ReadAll(c)
	ne, ok := err.(net.Error)
	return string(text), !ok || !ne.Timeout()
}

const host = "Host: localhost\r\n"

// Messages whose end two readers could see in different places are refused, or
// nothing that follows them on the connection is served.
func TestAttackSmuggling(t *testing.T) {
	f := ready(t, "--local-mode")
	const post, kind = "POST /execute HTTP/1.1\r\n" + host, "Content-Type: application/json\r\n"
	const second = "GET /live HTTP/1.1\r\n" + host + "\r\n"
	for name, c := range map[string]struct{ raw, status string }{
		"length and chunks":        {post + kind + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
		"chunks and length":        {post + kind + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "400"},
		"two lengths":              {post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "400"},
		"length with a sign":       {post + "Content-Length: +5\r\n\r\nhello", "400"},
		"negative length":          {post + "Content-Length: -5\r\n\r\nhello", "400"},
		"length in hex":            {post + "Content-Length: 0x5\r\n\r\nhello", "400"},
		"length beyond 64 bits":    {post + "Content-Length: 99999999999999999999\r\n\r\nhello", "400"},
		"unknown coding":           {post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501"},
		"coding after chunked":     {post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", "501"},
		"chunked twice":            {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "501"},
		"space before the colon":   {post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400"},
		"negative chunk":           {post + kind + "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n", "400"},
		"chunk beyond 64 bits":     {post + kind + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n", "400"},
		"two hosts":                {"GET /live HTTP/1.1\r\n" + host + host + "\r\n", "400"},
		"NUL in a header":          {"GET /live HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n", "400"},
		"bare CR in the id":        {"GET /live HTTP/1.1\r\n" + host + "X-Correlation-ID: a\rSet-Cookie: x\r\n\r\n", "400"},
		"line of HTTP 0.9":         {"GET /live\r\n\r\n", "400"},
		"preface of HTTP/2":        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "404"},
		"expectation nobody knows": {post + kind + "Expect: 200-maybe\r\nContent-Length: 2\r\n\r\n{}", "417"},
	} {
		got, closed := f.wire(c.raw + second)
		if !strings.HasPrefix(got, "HTTP/1.1 "+c.status) || !closed || strings.Contains(got, `"ready":true`) {
			t.Errorf("%s: closed %v, %.200q, want %s and nothing after it", name, closed, got, c.status)
		}
	}
	f.run(standin.Request{JobID: "after", Prompt: "Once", MaxTokens: 2})
}

// Targets of other servers: this one is no proxy.
func TestAttackProxying(t *testing.T) {
	f := ready(t, "--local-mode")
	for _, raw := range []string{
		"CONNECT example.org:80 HTTP/1.1\r\nHost: example.org:80\r\nConnection: close\r\n\r\n",
		"GET http://example.org/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"GET /live HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", // a name that was bound anew to 127.0.0.1
		"POST /execute HTTP/1.1\r\n" + host + "Origin: http://evil.example\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
	} {
		if got, _ := f.wire(raw); !strings.HasPrefix(got, "HTTP/1.1 403") || strings.Contains(got, "Access-Control-Allow") {
			t.Errorf("%q: %.200q", raw, got)
		}
	}
}

// A hundred headers of a megabyte, and ids as large: each is refused, and the
// worker has not grown by them.
func TestAttackHeaderFloods(t *testing.T) {
	f := ready(t, "--local-mode")
	before, err := standin.ReadMemory(f.PID(), model)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		name := []string{"X-Flood", "X-Correlation-ID", "Authorization", "Cookie"}[i%4]
		got, _ := f.wire("GET /live HTTP/1.1\r\n" + host + name + ": " + strings.Repeat("a", 1<<20) + "\r\n\r\n")
		// The refusal may be lost where the connection is reset under what was still being sent.
		if got != "" && !strings.HasPrefix(got, "HTTP/1.1 431") {
			t.Fatalf("%s: %.100q", name, got)
		}
	}
	many, _ := f.wire("GET /live HTTP/1.1\r\n" + host + strings.Repeat("X: y\r\n", 100_000) + "\r\n")
	if many != "" && !strings.HasPrefix(many, "HTTP/1.1 431") {
		t.Errorf("100,000 headers: %.100q", many)
	}
	after, err := standin.ReadMemory(f.PID(), model)
	if err != nil {
		t.Fatal(err)
	}
	if grown := after.RSS - before.RSS; grown > 64<<20 {
		t.Errorf("grew by %d MiB", grown>>20)
	}
	f.run(standin.Request{JobID: "after", Prompt: "Once", MaxTokens: 2})
}

// Compressed bodies are not unpacked: a bomb is a few bytes that are no JSON.
func TestAttackGzipBomb(t *testing.T) {
	f := ready(t, "--local-mode")
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(z, zeros{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	got, _ := f.wire(fmt.Sprintf("POST /execute HTTP/1.1\r\n%sContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		host, bomb.Len(), bomb.String()))
	if !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("%.200q", got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// With a token set, no spelling of a guarded path gets past it, by no method;
// what is not a path of ours is not found, and profiles are not on this port.
func TestAttackAliasesOfPaths(t *testing.T) {
	f := spawn(t, standin.Spawn{Args: []string{"--local-mode"}, Env: []string{"LLORCH_API_TOKEN=s3cret"}})
	f.healthy()
	for _, path := range []string{"/execute", "/v1/inference", "/cancel", "/cancel/x", "/shutdown", "/v1/shutdown", "/v1/admin/shutdown", "/v1/ready"} {
		for _, spelled := range []string{
			path, path + "/", "/" + path, strings.ToUpper(path), "/." + path, "/v1/.." + path, "/health/.." + path, path + "?x=/health", path + ";/health",
			strings.Replace(path, "e", "%65", 1), path + "%2f", path + "%00", path + "#/health", "/health" + path, "http://localhost" + path,
		} {
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"} {
				got, _ := f.wire(method + " " + spelled + " HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				// An unknown path that redirects would lead to a guarded one, which is as good.
				if !strings.HasPrefix(got, "HTTP/1.1 4") && !strings.HasPrefix(got, "HTTP/1.1 3") {
					t.Errorf("%s %s: %.60q", method, spelled, got)
				}
			}
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/debug", "/pprof/"} {
		if status, body := f.get("GET", path, nil, "Authorization", "Bearer s3cret"); status != 404 {
			t.Errorf("%s on the serving port: %d %.100s", path, status, body)
		}
	}
	if status, body := f.get("GET", "/health", nil); status != 200 {
		t.Errorf("after all that: %d %s", status, body)
	}
}
