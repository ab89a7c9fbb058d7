package standin

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
)

// Silent accepts connections and never says a word: an orchestrator whose
// process hangs, or whose machine went away behind a load balancer.
type Silent struct {
	listener net.Listener
	end      func() error
	mu       sync.Mutex
	open     []net.Conn
}

// ListenSilent starts one on loopback; port 0 takes any.
func ListenSilent(port int) (*Silent, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)))
	if err != nil {
		return nil, fmt.Errorf("standin: %w", err)
	}
	s := &Silent{listener: l, end: sync.OnceValue(l.Close)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // Close
			}
			s.mu.Lock()
			s.open = append(s.open, c)
			s.mu.Unlock()
		}
	}()
	return s, nil
}

// URL is its address with a path.
func (s *Silent) URL(path string) string { return "http://" + s.listener.Addr().String() + path }

// Accepted counts the connections so far.
func (s *Silent) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Close drops every connection. It may be called again.
func (s *Silent) Close() error {
	err := s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		c.Close()
	}
	return err
}

// Endless is a reply that never ends, for as long as somebody reads it.
func Endless(status int) func(int, Call, http.ResponseWriter) bool {
	return func(_ int, _ Call, w http.ResponseWriter) bool {
		w.WriteHeader(status)
		for chunk := bytes.Repeat([]byte("x"), 4096); ; {
			if _, err := w.Write(chunk); err != nil {
				return true
			}
		}
	}
}

// Redirect sends every call elsewhere.
func Redirect(to string) func(int, Call, http.ResponseWriter) bool {
	return func(_ int, _ Call, w http.ResponseWriter) bool {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
}

// silence is for servers whose clients are meant to fail.
func silence() *log.Logger { return log.New(io.Discard, "", 0) }
