package agent

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// LogQueue passes log lines on to a writer that may block for ever: a spawner
// that gave us a pipe and does not read it, a terminal that was stopped. Nobody
// who logs waits for it. While the writer is behind, up to limit bytes are
// kept; lines beyond that are lost, and a line says how many.
type LogQueue struct {
	w     io.Writer
	limit int

	mu      sync.Mutex
	lines   []byte
	lost    int
	closed  bool
	wake    chan struct{} // room for one
	drained chan struct{} // closed when the last line is written
}

// NewLogQueue starts passing lines to w. Close ends it.
func NewLogQueue(w io.Writer, limit int) *LogQueue {
	q := &LogQueue{w: w, limit: limit, wake: make(chan struct{}, 1), drained: make(chan struct{})}
	go q.pass()
	return q
}

// Write takes one line. It never blocks and never fails.
func (q *LogQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.lines)+len(line) > q.limit {
		q.lost++
		return len(line), nil
	}
	q.lines = append(q.lines, line...)
	q.signal()
	return len(line), nil
}

// Close waits until what is queued has been written, but no longer than
// patience: a log that nobody reads must not keep the process alive.
func (q *LogQueue) Close(patience time.Duration) {
	q.mu.Lock()
	q.closed = true
	q.signal()
	q.mu.Unlock()
	select {
	case <-q.drained:
	case <-time.After(patience):
	}
}

func (q *LogQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pass writes until the queue is closed and empty.
func (q *LogQueue) pass() {
	defer close(q.drained)
	var spare []byte
	for range q.wake {
		for {
			q.mu.Lock()
			lines, lost, closed := q.lines, q.lost, q.closed
			q.lines, q.lost = spare[:0], 0
			q.mu.Unlock()
			if len(lines) == 0 && lost == 0 {
				if closed {
					return
				}
				spare = lines
				break
			}
			// A log that cannot be written has nobody to be told of it.
			_, _ = q.w.Write(lines)
			if lost > 0 {
				_, _ = q.w.Write(lostLine(time.Now(), lost))
			}
			spare = lines
		}
	}
}

// lostLine has the shape of every other JSON line.
func lostLine(now time.Time, lost int) []byte {
	return fmt.Appendf(nil, `{"timestamp":"%s","level":"WARN","fields":{"message":"log lines lost","lines":%d,`+
		`"note":"whoever reads this log did not keep up"}}`+"\n", now.UTC().Format("2006-01-02T15:04:05.000000Z"), lost)
}
