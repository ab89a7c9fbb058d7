package agent

import "time"

const (
	// stepFactor is how many times longer than the longest step so far a step
	// may take: a full prefill takes many times what a decode step does.
	stepFactor = 4
	// contextFactor is the same for an estimate that is of a full prefill, but
	// at the start of a context.
	contextFactor = 2
	// maxLearned bounds, in configured timeouts, the longest step that is
	// learned: a hang that healed after an hour must not hide the next one.
	maxLearned = 2
)

// hangDetector tells a device that hangs from one that is busy, from the
// engine's step counter alone. It is plain bookkeeping: the caller brings the
// time and the counter, again and again.
//
// Only time that the detector saw pass with work outstanding counts: what lies
// between two looks that both found work. When the whole process stood still
// (SIGSTOP, a machine that slept or starved) the engine had no chance either,
// and that is no hang.
type hangDetector struct {
	timeout time.Duration // 0: nothing is ever a hang
	expect  time.Duration // estimate of a full prefill step; 0: none
	maxGap  time.Duration // the longest time between two looks that counts in full

	last    time.Time
	waiting bool // the last look found work
	steps   uint64
	stalled time.Duration // work outstanding, and the counter has not moved
	longest time.Duration // step seen so far
	hung    bool
}

// limit is how long work may stand still: the configured time, or a multiple of
// the longest step seen or expected, whichever is longest.
func (d *hangDetector) limit() time.Duration {
	return max(d.timeout, stepFactor*d.longest, contextFactor*d.expect)
}

// look takes the counter and the number of requests running or waiting. It
// returns whether the engine hangs and whether that is news.
func (d *hangDetector) look(now time.Time, steps uint64, outstanding int) (hung, changed bool) {
	was := d.hung
	if d.waiting {
		d.stalled += min(max(now.Sub(d.last), 0), d.maxGap)
	}
	d.last, d.waiting = now, outstanding > 0
	switch {
	case steps != d.steps:
		d.longest = max(d.longest, min(d.stalled, maxLearned*d.timeout))
		d.steps, d.stalled, d.hung = steps, 0, false
	case outstanding == 0:
		d.stalled, d.hung = 0, false
	case d.timeout > 0 && d.stalled > d.limit():
		d.hung = true
	}
	return d.hung, d.hung != was
}
