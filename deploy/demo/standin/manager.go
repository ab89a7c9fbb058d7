package standin

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Manager is the notification socket of a service manager, as systemd's
// (sd_notify(3)).
type Manager struct {
	conn  *net.UnixConn
	ended chan struct{} // closed when nobody reads any more
	mu    sync.Mutex
	heard []Message
}

// Message is what came as one datagram.
type Message struct {
	At   time.Time
	Text string
}

// ListenNotify opens a socket: a path, or @name for an abstract one.
func ListenNotify(name string) (*Manager, error) {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("standin: %w", err)
	}
	m := &Manager{conn: c, ended: make(chan struct{})}
	go m.read()
	return m, nil
}

func (m *Manager) read() {
	defer close(m.ended)
	b := make([]byte, 8192)
	for {
		n, err := m.conn.Read(b)
		if err != nil {
			return
		}
		m.mu.Lock()
		m.heard = append(m.heard, Message{time.Now(), string(b[:n])})
		m.mu.Unlock()
	}
}

// Heard is every message so far.
func (m *Manager) Heard() []Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.heard)
}

// Count is the number of messages so far that hold the text.
func (m *Manager) Count(part string) (n int) {
	for _, h := range m.Heard() {
		if strings.Contains(h.Text, part) {
			n++
		}
	}
	return n
}

// Close closes the socket.
func (m *Manager) Close() error {
	err := m.conn.Close()
	<-m.ended
	return err
}
