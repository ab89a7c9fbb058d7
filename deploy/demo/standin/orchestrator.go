// Package standin is a small pool manager: it spawns a worker the way a real
// one does, receives its ready callback, sends it work and stops it. The demo
// shows it, the worker's end-to-end tests use it. It knows the worker only by
// command line, HTTP and log, and needs the standard library alone.
package standin

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Call is one ready callback as it came in.
type Call struct {
	Path   string
	Header http.Header
	Body   []byte
	At     time.Time
}

// Orchestrator receives callbacks on loopback.
type Orchestrator struct {
	server   *http.Server
	listener net.Listener
	answer   func(n int, c Call) int
	arrived  chan struct{}

	mu    sync.Mutex
	calls []Call
}

// Listen starts an orchestrator. answer gives the status for the n-th call,
// counted from 0; nil answers 200. port 0 takes any.
func Listen(port int, answer func(n int, c Call) int) (*Orchestrator, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)))
	if err != nil {
		return nil, fmt.Errorf("standin: %w", err)
	}
	if answer == nil {
		answer = func(int, Call) int { return http.StatusOK }
	}
	o := &Orchestrator{listener: l, answer: answer, arrived: make(chan struct{}, 1)}
	o.server = &http.Server{Handler: o, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = o.server.Serve(l) }() // ends with Close
	return o, nil
}

// ServeHTTP takes one callback.
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
	status := o.answer(n, call)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "{}")
}

// URL is the callback address with the given path.
func (o *Orchestrator) URL(path string) string { return "http://" + o.listener.Addr().String() + path }

// Calls returns the callbacks so far.
func (o *Orchestrator) Calls() []Call {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Call(nil), o.calls...)
}

// Ready waits for the first callback.
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

// Close stops listening.
func (o *Orchestrator) Close() error { return o.server.Close() }
