package cli

import (
	"bytes"
	"io"
	"sync"
)

// eraseLine takes the cursor to the start of a line and empties it.
const eraseLine = "\r\x1b[K"

// screen shares a terminal between lines, which stay, and a progress bar, which
// is drawn over: each line erases the bar, and the bar comes back below it.
type screen struct {
	lines, bar io.Writer

	mu    sync.Mutex
	drawn []byte // the bar as it stands there; empty = none
}

// Write writes lines.
func (s *screen) Write(lines []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.drawn) == 0 {
		return s.lines.Write(lines)
	}
	// A bar that cannot be drawn is not worth failing for.
	_, _ = io.WriteString(s.bar, eraseLine)
	n, err := s.lines.Write(lines)
	_, _ = s.bar.Write(s.drawn)
	return n, err
}

// screenBar is the writer of a screen's bar: what is written replaces it.
type screenBar struct{ *screen }

func (b screenBar) Write(drawn []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drawn = append(b.drawn[:0], bytes.TrimPrefix(drawn, []byte(eraseLine))...)
	return b.bar.Write(drawn)
}
