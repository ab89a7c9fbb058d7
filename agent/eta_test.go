package agent

import (
	"math"
	"testing"
	"time"

	"llorch/inference"
)

// loads are bytes that a disk has delivered after a time.
const modelBytes = 16e9

func deliver(seconds float64, rate float64) int64 { return int64(min(modelBytes, seconds*rate)) }

// Ten percent into a load at a steady rate, and all the way from there, what is
// said to be left is within a fifth of what it then takes; at the very end, within
// what the steps after the last byte were misjudged by.
func TestTimeLeftIsRight(t *testing.T) {
	plan := inference.Plan{Weights: modelBytes, Cache: 512 << 20, Scratch: 64 << 20}
	for _, rate := range []float64{50e6, 400e6, 2e9} {
		c := newLoadClock(plan)
		start := time.Unix(1000, 0)
		bytesTake := modelBytes / rate
		whole := bytesTake + c.tail.Seconds()*1.3 // the estimate of the tail is not right either
		for s := 0.0; s < bytesTake; s += 0.25 {
			p := inference.Progress{Done: deliver(s, rate), Total: modelBytes}
			p.Share = 0.9 * float64(p.Done) / modelBytes
			got, left := c.look(start.Add(time.Duration(s*1e9)), p)
			if s < whole/10 {
				continue
			}
			if want := whole - s; math.Abs(left.Seconds()-want) > max(0.2*want, c.tail.Seconds()*0.3+0.25) {
				t.Fatalf("at %.0f MB/s after %.1f s: %.1f s left, want %.1f", rate/1e6, s, left.Seconds(), want)
			}
			if math.Abs(got-rate) > 0.02*rate {
				t.Fatalf("after %.1f s: %.0f bytes/s, want %.0f", s, got, rate)
			}
		}
	}
}

// A disk that becomes slow is believed within the window.
func TestTimeLeftFollowsTheDisk(t *testing.T) {
	c := newLoadClock(inference.Plan{})
	var rate float64
	for s := 0.0; s <= 60; s += 0.25 {
		done := deliver(min(s, 10), 1e9) + deliver(max(s-10, 0), 50e6)
		rate, _ = c.look(time.Unix(1000, 0).Add(time.Duration(s*1e9)), inference.Progress{Done: done, Total: modelBytes})
	}
	if rate < 49e6 || rate > 51e6 {
		t.Errorf("%.0f bytes/s, want 50e6", rate)
	}
	if len(c.marks) > 110 {
		t.Errorf("%d marks are kept", len(c.marks))
	}
}

// What is not known is not said, and what follows the last byte runs down.
func TestTimeLeftAtTheEnds(t *testing.T) {
	c := newLoadClock(inference.Plan{Cache: 3e9})
	now := time.Unix(1000, 0)
	for i, s := range []int64{0, 100} {
		if rate, left := c.look(now.Add(time.Duration(s)*time.Millisecond), inference.Progress{Total: 100}); rate != 0 || left != 0 {
			t.Errorf("look %d: %v bytes/s, %v left, and nothing is known", i, rate, left)
		}
	}
	last := time.Hour
	for _, share := range []float64{0.9, 0.95, 0.99, 1} {
		_, left := c.look(now.Add(time.Minute), inference.Progress{Done: 100, Total: 100, Share: share})
		if left >= last || left > 2*time.Second {
			t.Errorf("share %v: %v left, %v before", share, left, last)
		}
		last = left
	}
	if last > time.Millisecond {
		t.Errorf("%v left of nothing", last)
	}
}
