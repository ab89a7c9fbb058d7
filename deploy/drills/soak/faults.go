package soak

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"llorch/deploy/demo/standin"
)

// badRequests are those that no server may take, with the status each gets.
var badRequests = []struct {
	method, path, kind, body string
	status                   int
}{
	{"POST", "/execute", "application/json", `{"job_id":`, 400},
	{"POST", "/execute", "application/json", `{"job_id":"b","prompt":"x","max_tokens":-1}`, 422},
	{"POST", "/execute", "application/json", `{"job_id":"b","prompt":"","max_tokens":0,"temperature":9}`, 400},
	{"POST", "/execute", "application/json", strings.Repeat("[", 100_000), 422},
	{"POST", "/execute", "text/plain", "hello", 415},
	{"POST", "/execute", "application/json", `{"job_id":"b","prompt":"` + strings.Repeat("x", 3<<20) + `"}`, 413},
	{"POST", "/cancel/nobody", "", "", 202},
	{"DELETE", "/v1/inference/nobody", "", "", 204},
	{"GET", "/execute", "", "", 405},
	{"GET", "/debug/pprof/", "", "", 404},
}

func (s *soak) badRequests(ctx context.Context, r *rand.Rand) {
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for nap(ctx, between(r, 50*time.Millisecond, 500*time.Millisecond)) {
		b := badRequests[r.IntN(len(badRequests))]
		req, err := http.NewRequest(b.method, s.worker.URL(b.path), strings.NewReader(b.body))
		if err != nil {
			s.wrong.add("%v", err)
			return
		}
		req.Header.Set("Content-Type", b.kind)
		resp, err := client.Do(req)
		if err != nil {
			// A server that refuses a large body by its length closes the connection, which may come before the answer.
			if b.status != 413 {
				s.fail("bad request %s %s: %v", b.method, b.path, err)
			}
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		s.tally.bad.Add(1)
		if resp.StatusCode != b.status {
			s.fail("bad request %s %s %.40s: %d instead of %d", b.method, b.path, b.body, resp.StatusCode, b.status)
		}
	}
}

// slowReaders ask for a long text and read hardly any of it.
func (s *soak) slowReaders(ctx context.Context, r *rand.Rand) {
	for n := 0; nap(ctx, between(r, 200*time.Millisecond, 2*time.Second)); n++ {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.worker.Port), time.Minute)
		if err != nil {
			s.fail("slow reader: %v", err)
			continue
		}
		body := fmt.Sprintf(`{"job_id":"slow-%d","prompt":"Once upon a time","max_tokens":200}`, n)
		fmt.Fprintf(c, "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		one := make([]byte, 1)
		for until := time.Now().Add(between(r, time.Millisecond, 3*time.Second)); time.Now().Before(until) && nap(ctx, 50*time.Millisecond); {
			_ = c.SetReadDeadline(until)
			_, _ = c.Read(one)
		}
		c.Close()
		s.tally.slow.Add(1)
	}
}

// halfRequests leave in the middle of a header or a body, or say nothing.
func (s *soak) halfRequests(ctx context.Context, r *rand.Rand) {
	halves := []string{"", "POST /exec", "POST /execute HTTP/1.1\r\nHost: localhost\r\n", "GET /health HTTP/1.1\r\nHost: localhost\r\nX: ",
		"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"job_id\":",
		"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"}
	for nap(ctx, between(r, 50*time.Millisecond, 500*time.Millisecond)) {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.worker.Port), time.Minute)
		if err != nil {
			s.fail("half a request: %v", err)
			continue
		}
		_, _ = io.WriteString(c, halves[r.IntN(len(halves))])
		nap(ctx, between(r, time.Millisecond, 200*time.Millisecond))
		c.Close()
		s.tally.half.Add(1)
	}
}

// pause stops the process for a moment, as a debugger or a host that is
// suspended does.
func (s *soak) pause(ctx context.Context, r *rand.Rand) {
	for nap(ctx, between(r, 20*time.Second, 60*time.Second)) {
		ended := s.stopped.begin()
		if err := s.worker.Signal(syscall.SIGSTOP); err != nil {
			s.wrong.add("SIGSTOP: %v", err)
		}
		nap(ctx, between(r, 200*time.Millisecond, 2*time.Second))
		if err := s.worker.Signal(syscall.SIGCONT); err != nil {
			s.wrong.add("SIGCONT: %v", err)
		}
		ended()
		s.tally.stops.Add(1)
	}
}

// restarting is an orchestrator that can be away, and that knows nobody when it
// is back: a heartbeat of a worker that it does not know gets 404.
type restarting struct {
	port    int
	current *standin.Orchestrator
	known   atomic.Bool
	ready   atomic.Int64 // ready calls so far
}

func newRestarting() (*restarting, error) {
	port, err := standin.FreePort()
	if err != nil {
		return nil, err
	}
	o := &restarting{port: port}
	return o, o.open()
}

func (o *restarting) open() (err error) {
	o.current, err = standin.Listen(o.port, func(_ int, c standin.Call) int {
		switch {
		case c.Path == "/ready":
			o.ready.Add(1)
			o.known.Store(true)
		case !o.known.Load():
			return http.StatusNotFound
		}
		return http.StatusOK
	})
	return err
}

// URL is an address at the orchestrator, whether it is there or not.
func (o *restarting) URL(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", o.port, path)
}

func (o *restarting) close() { _ = o.current.Close() }

// restartOrchestrator takes it away for some seconds. Afterwards the worker has
// to register again by itself.
func (s *soak) restartOrchestrator(ctx context.Context, r *rand.Rand) {
	for nap(ctx, between(r, 20*time.Second, 60*time.Second)) {
		s.orchestrator.close()
		s.orchestrator.known.Store(false)
		nap(ctx, between(r, time.Second, 6*time.Second))
		if err := s.orchestrator.open(); err != nil {
			s.wrong.add("orchestrator: %v", err)
			return
		}
		s.tally.restarts.Add(1)
		for end := time.Now().Add(time.Minute); !s.orchestrator.known.Load(); {
			if !nap(ctx, 50*time.Millisecond) {
				return
			}
			if time.Now().After(end) {
				s.fail("not registered a minute after the orchestrator was back")
				break
			}
		}
	}
}
