package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"llorch/inference"
)

func TestBodyErrors(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	for _, c := range []struct {
		body, kind string
		status     int
	}{
		{good, "application/json; charset=utf-8", 200}, {good, "application/vnd.x+json", 200},
		{good, "text/plain", 415}, {good, "application/jsonx", 415}, {good, "", 415},
		{`{"job_id":`, "application/json", 400}, {`{}`, "application/json", 422},
		{`{"x":"` + strings.Repeat("a", 2<<20) + `"}`, "application/json", 413},
	} {
		resp := f.do("POST", "/execute", c.body, "Content-Type", c.kind)
		got := text(t, resp)
		if resp.StatusCode != c.status || c.status != 200 && !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s %.30q: %d %s", c.kind, c.body, resp.StatusCode, got)
		}
	}
	unknownLength, writer := net.Pipe()
	go func() {
		defer writer.Close()
		fmt.Fprint(writer, `{"x":"`, strings.Repeat("a", 3<<20))
	}()
	req, _ := http.NewRequestWithContext(t.Context(), "POST", f.URL+"/execute", unknownLength)
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.Client().Do(req)
	unknownLength.Close()
	if err == nil { // the server may also have closed the line while we still wrote
		if resp.StatusCode != 413 {
			t.Errorf("chunked: %d", resp.StatusCode)
		}
		resp.Body.Close()
	}
}

func TestValidationBody(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	resp := f.do("POST", "/execute", `{"job_id":"j","prompt":"hi","max_tokens":1,"temperature":2.5}`)
	want := `{"errors":[{"field":"temperature","constraint":"range(0.0..=2.0)","message":"temperature must be at most 2.0 (got 2.5)","value":"2.5"}]}`
	if got := text(t, resp); got != want || resp.StatusCode != 400 || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, got)
	}
}

func TestCorrelationOnEveryAnswer(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token = "t" })
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, path := range []string{"/health", "/nope", "/execute", "/v1/ready", "/metrics"} {
		for sent, kept := range map[string]bool{
			"01234567-89ab-cdef-0123-456789abcdef": true, "req-7": true, "": false, "not a uuid": false,
			strings.Repeat("a", 65): false, "a_b": false, "ü": false,
		} {
			got := f.do("GET", path, "", "X-Correlation-ID", sent).Header.Get("X-Correlation-ID")
			if kept && got != sent || !kept && !uuid.MatchString(got) {
				t.Errorf("%s %q: %q", path, sent, got)
			}
		}
	}
}

// A body that is begun and never ended is given up, whether anybody wants to
// read it (400) or the caller was refused for something else.
func TestBodyThatDoesNotArrive(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.BodyTimeout, o.Token = 100*time.Millisecond, "t" })
	const auth, kind = "Authorization: Bearer t\r\n", "Content-Type: application/json\r\n"
	for _, c := range []struct{ head, status string }{
		{"POST /execute", "400"}, {"POST /cancel", "400"}, {"POST /nope", "404"}, {"GET /execute", "405"}, {"POST /shutdown", "503"},
	} {
		for _, body := range []string{"Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"} {
			if got := firstBytes(t, f, c.head+" HTTP/1.1\r\nHost: x\r\n"+auth+kind+body); got != "HTTP/1.1 "+c.status {
				t.Errorf("%s with %q: %q, want %s", c.head, body, got, c.status)
			}
		}
	}
	if got := firstBytes(t, f, "POST /execute HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); got != "HTTP/1.1 401" {
		t.Errorf("without a token: %q", got)
	}
	if got := firstBytes(t, f, "POST /execute HTTP/1.1\r\nHost: x\r\n"+auth+"Content-Length: 100\r\n\r\n{"); got != "HTTP/1.1 415" {
		t.Errorf("of another type: %q", got)
	}
}

// firstBytes sends raw bytes and returns the beginning of the answer.
func firstBytes(t *testing.T, f *fixture, raw string) string {
	t.Helper()
	conn, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, raw)
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, 12)
	n, _ := io.ReadFull(conn, reply)
	return string(reply[:n])
}

// The time to send a body is not the time to read the answer.
func TestStreamOutlivesTheBodyTimeout(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: func(ctx context.Context, r inference.Request, send func(inference.Event)) {
		send(inference.Event{Text: "a"})
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
			send(inference.Event{End: &inference.End{Reason: inference.StopEOS, TokensOut: 1}})
			return
		}
		send(inference.Event{Err: causeOf(ctx)})
	}}, func(o *ServerOptions) { o.BodyTimeout = 100 * time.Millisecond })
	if got := text(t, f.do("POST", "/execute", good)); !strings.Contains(got, `"type":"end"`) {
		t.Errorf("%s", got)
	}
}

func TestForeignHostsOnLoopback(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Loopback, o.AlsoHost = true, "worker.lan" })
	for host, status := range map[string]int{
		"localhost:1": 200, "LOCALHOST": 200, "127.0.0.1:80": 200, "[::1]:80": 200, "[::1]": 200, "worker.lan:9": 200,
		"evil.example": 403, "evil.example:8080": 403, "10.0.0.1": 403, "localhost.evil.example": 403,
	} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", f.URL+"/health", nil)
		req.Host = host
		resp, err := f.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s: %d, want %d", host, resp.StatusCode, status)
		}
	}
}
