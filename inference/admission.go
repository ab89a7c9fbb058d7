package inference

import (
	"container/heap"
	"time"
)

// admission decides which requests are taken in. It is plain arithmetic over
// what has been measured: no device, clock, lock or goroutine.
//
// Requests are bounded by number and by the tokens that wait, because a queue
// of long prompts takes longer than one of short. A request whose deadline
// cannot be met is refused, and one that can no longer meet it while it waits
// is ended, both before the device has worked for it.
type admission struct {
	slots   int // sequences that run at once
	waiters int // requests that may wait beyond those
	tokens  int // expected tokens of those that wait; one request always may
	cache   int // positions that the cache has room for
	pace    pace
	wait    time.Duration // of a newcomer, at the last review
	ends    slotEnds      // reused
}

// load is what one request still asks of the device.
type load struct {
	held     int       // tokens it has: prompt and chosen
	prefill  int       // of its prompt, tokens still to compute
	shared   int       // of its prompt, tokens that lie in the cache anyway
	answer   int       // tokens it may still choose
	waits    bool      // no step has been run for it
	deadline time.Time // zero = none
}

// size is how many tokens the request is expected to come to.
func (p *pace) size(l load) float64 { return float64(l.held) + p.expected(l.answer) }

// full refuses where as many requests are in as may be. Under overload this is
// the usual answer, so it costs nothing: the wait is that of the last review.
func (a *admission) full(in int) *Error {
	if in < a.slots+a.waiters {
		return nil
	}
	return &Error{Code: CodeUnhealthy, Retriable: true, Err: ErrBusy, RetryAfter: a.wait}
}

// decide returns nil where a request may be taken in behind those of line, who
// are in the order of their arrival, and else why not. A prompt that is not
// tokenized yet has no tokens: then the refusal costs least.
func (a *admission) decide(now time.Time, r load, line []load) *Error {
	wait, waiting := a.line(line, nil)
	refuse := func(code Code, why error) *Error {
		return &Error{Code: code, Retriable: true, Err: why, RetryAfter: wait}
	}
	switch {
	case waiting > 0 && waiting+a.pace.size(r) > float64(a.tokens):
		return refuse(CodeUnhealthy, ErrBusyTokens)
	case !r.deadline.IsZero() && wait+a.pace.prefill(r.prefill)/2 > r.deadline.Sub(now):
		// A prompt's own time counts half: the estimate is least sure of it, and
		// on an idle device nothing that could be met may be refused.
		return refuse(CodeTimeout, ErrDeadlineUnmet)
	}
	return nil
}

// late returns the indices of those in line whose deadline could not be met
// even at twice the speed that is expected.
func (a *admission) late(now time.Time, line []load) (indices []int) {
	a.line(line, func(i int, wait time.Duration) (skip bool) {
		l := line[i]
		skip = l.waits && !l.deadline.IsZero() && (wait+a.pace.prefill(l.prefill))/2 > l.deadline.Sub(now)
		if skip {
			indices = append(indices, i)
		}
		return skip
	})
	return indices
}

// line estimates how long a request behind all of line would wait for its first
// step, and the tokens that wait. Slots take requests in turn, each for as many
// steps as it is expected to choose tokens; prompts are computed one after
// another. each, if not nil, hears of every one's own wait, and may leave it out.
func (a *admission) line(line []load, each func(i int, wait time.Duration) (skip bool)) (wait time.Duration, waiting float64) {
	width, prompts := a.width(line), 0
	a.ends = a.ends[:0]
	for i, l := range line {
		starts := a.ends.next(width)
		if each != nil && each(i, seconds(starts*a.pace.step+float64(prompts)*a.pace.row)) {
			continue
		}
		a.ends.take(width, starts+a.pace.expected(l.answer))
		prompts += l.prefill
		if l.waits {
			waiting += a.pace.size(l)
		}
	}
	return seconds(a.ends.next(width)*a.pace.step + float64(prompts)*a.pace.row), waiting
}

// width is how many of line run at once: all slots, or as many as the cache has
// room for. What several have in common is taken to be the same for all, and
// lies in the cache once.
func (a *admission) width(line []load) int {
	sum, shared := 0.0, 0
	for _, l := range line { // half of its growth over its time, and what it is let in with to grow into
		sum += float64(l.held-l.shared) + a.pace.expected(l.answer)/2 + headroom
		shared = max(shared, l.shared)
	}
	if sum == 0 {
		return a.slots
	}
	return min(max(int(float64(a.cache-shared)*float64(len(line))/sum), 1), a.slots)
}

// slotEnds is a heap of the moments, in steps from now, at which slots are free.
type slotEnds []float64

// next is when one of width slots is free.
func (s slotEnds) next(width int) float64 {
	if len(s) < width {
		return 0
	}
	return s[0]
}

// take occupies the slot that is free next until a moment.
func (s *slotEnds) take(width int, until float64) {
	if len(*s) < width {
		heap.Push(s, until)
		return
	}
	(*s)[0] = until
	heap.Fix(s, 0)
}

func (s slotEnds) Len() int           { return len(s) }
func (s slotEnds) Less(i, j int) bool { return s[i] < s[j] }
func (s slotEnds) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *slotEnds) Push(x any)        { *s = append(*s, x.(float64)) }
func (s *slotEnds) Pop() any          { panic("inference: slots are taken, never given up") }
