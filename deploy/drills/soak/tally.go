package soak

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// tally counts the outcomes of requests and of everything done to the worker.
type tally struct {
	completed, cancelled, left, refused, failed, tokens atomic.Int64
	bad, slow, half, stops, restarts, scrapes           atomic.Int64
}

func (t *tally) String() string {
	return fmt.Sprintf("%d ended well, %d cancelled, %d hung up, %d refused, %d failed, %d tokens",
		t.completed.Load(), t.cancelled.Load(), t.left.Load(), t.refused.Load(), t.failed.Load(), t.tokens.Load())
}

// complaints keeps the first few of what went wrong, in words.
type complaints struct {
	mu   sync.Mutex
	list []string
	more int
}

func (c *complaints) add(format string, args ...any) {
	const most = 10
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == most {
		c.more++
		return
	}
	c.list = append(c.list, fmt.Sprintf(format, args...))
}

// pauses are the times in which the process was stopped by us; what a probe
// took then says nothing about the worker.
type pauses struct {
	mu    sync.Mutex
	spans [][2]time.Time
}

// begin opens a pause; the function it returns ends it.
func (p *pauses) begin() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := len(p.spans)
	p.spans = append(p.spans, [2]time.Time{time.Now()})
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.spans[i][1] = time.Now()
	}
}

// after is how long a worker that was stopped may still have to catch up.
const after = time.Second

// overlap reports whether any of the time from a to b was in a pause.
func (p *pauses) overlap(a, b time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.spans {
		if s[0].Before(b) && (s[1].IsZero() || s[1].Add(after).After(a)) {
			return true
		}
	}
	return false
}
