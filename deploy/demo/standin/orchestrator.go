// Package standin is a small pool manager: it spawns a worker the way a real
// one does, receives its calls, sends it work and stops it. It can also be the
// manager nobody wants: slow, silent, forgetful, in two minds. The demo shows
// it, the worker's tests and drills use it. It knows the worker only by command
// line, HTTP and log, and needs the standard library alone.
package standin

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Call is one call of a worker as it came in.
type Call struct {
	Path   string
	Header http.Header
	Body   []byte
	At     time.Time
}

// Listener says how an orchestrator listens and answers.
type Listener struct {
	Port   int                                                    // on loopback; 0: any
	TLS    *tls.Config                                            // nil: plain HTTP
	Answer func(n int, c Call) int                                // status for the n-th call, counted from 0; nil: 200
	Reply  func(n int, c Call, w http.ResponseWriter) (done bool) // writes the reply itself, or leaves it to Answer; nil: does
}

// Orchestrator receives calls on loopback.
type Orchestrator struct {
	server   *http.Server
	listener net.Listener
	how      Listener
	arrived  chan struct{}

	mu    sync.Mutex
	calls []Call
}

// Listen starts an orchestrator. answer gives the status for the n-th call,
// counted from 0; nil answers 200. port 0 takes any.
func Listen(port int, answer func(n int, c Call) int) (*Orchestrator, error) {
	return Open(Listener{Port: port, Answer: answer})
}

// Open starts an orchestrator. One that is to be closed and opened again on its
// port needs one of FreePort: the kernel gives others away.
func Open(how Listener) (*Orchestrator, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(how.Port)))
	if err != nil {
		return nil, fmt.Errorf("standin: %w", err)
	}
	if how.Answer == nil {
		how.Answer = func(int, Call) int { return http.StatusOK }
	}
	o := &Orchestrator{listener: l, how: how, arrived: make(chan struct{}, 1)}
	o.server = &http.Server{Handler: o, ReadHeaderTimeout: 5 * time.Second, ErrorLog: silence()}
	if how.TLS != nil {
		l = tls.NewListener(l, how.TLS)
	}
	go func() { _ = o.server.Serve(l) }() // ends with Close
	return o, nil
}

// ServeHTTP takes one call.
func (o *Orchestrator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	call := Call{r.URL.Path, r.Header.Clone(), body, time.Now()}
	o.mu.Lock()
	n := len(o.calls)
	o.calls = append(o.calls, call)
	o.mu.Unlock()
	select {
	case o.arrived <- struct{}{}:
	default:
	}
	if o.how.Reply != nil && o.how.Reply(n, call, w) {
		return
	}
	status := o.how.Answer(n, call)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "{}")
}

// URL is the orchestrator's address with the given path.
func (o *Orchestrator) URL(path string) string {
	scheme := "http://"
	if o.how.TLS != nil {
		scheme = "https://"
	}
	return scheme + o.listener.Addr().String() + path
}

// Calls returns the calls so far.
func (o *Orchestrator) Calls() []Call {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Call(nil), o.calls...)
}

// Ready waits for the first call.
func (o *Orchestrator) Ready(ctx context.Context) (Call, error) {
	for {
		if calls := o.Calls(); len(calls) > 0 {
			return calls[0], nil
		}
		select {
		case <-o.arrived:
		case <-ctx.Done():
			return Call{}, fmt.Errorf("standin: no ready callback: %w", context.Cause(ctx))
		}
	}
}

// Close stops listening and drops every connection.
func (o *Orchestrator) Close() error { return o.server.Close() }
