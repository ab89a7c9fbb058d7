package agent

import (
	"time"

	"llorch/inference"
)

// What the steps after the last byte are taken to do in a second, before they
// have shown it: clear new memory, and read the weights for the warm-up, which does not
// where they were checked in the host's memory. They only matter to a load of a few seconds.
const (
	clearRate = 1.5e9
	warmRate  = 5e9
	// rateWindow is the past that the rate is taken from: long enough to be
	// steady, short enough to follow a disk that becomes slow.
	rateWindow = 20 * time.Second
	// rateFloor is the time from which on a rate means anything.
	rateFloor = 200 * time.Millisecond
)

// loadClock estimates how long a load will take yet. It is plain bookkeeping:
// the caller brings the time.
type loadClock struct {
	tail  time.Duration // what comes after the last byte, estimated
	marks []loadMark    // of the window, the oldest first
}

type loadMark struct {
	at   time.Time
	done int64
}

func newLoadClock(p inference.Plan) loadClock {
	seconds := float64(p.Cache+p.Scratch)/clearRate + float64(p.Weights)/warmRate
	return loadClock{tail: time.Duration(seconds * float64(time.Second))}
}

// look returns the bytes a second and the time that is left; both 0: not known
// yet.
func (c *loadClock) look(now time.Time, p inference.Progress) (rate float64, left time.Duration) {
	if len(c.marks) == 0 || now.Sub(c.marks[len(c.marks)-1].at) >= rateWindow/100 {
		c.marks = append(c.marks, loadMark{now, p.Done})
	}
	for len(c.marks) > 1 && now.Sub(c.marks[1].at) >= rateWindow {
		c.marks = c.marks[1:]
	}
	if p.Done >= p.Total { // only the tail is left; its share of the whole says how much
		return 0, time.Duration(float64(c.tail) * min(1, (1-p.Share)/inference.ShareTail))
	}
	first := c.marks[0]
	took := now.Sub(first.at)
	if took < rateFloor || p.Done <= first.done {
		return 0, 0
	}
	rate = float64(p.Done-first.done) / took.Seconds()
	return rate, time.Duration(float64(p.Total-p.Done)/rate*float64(time.Second)) + c.tail
}
