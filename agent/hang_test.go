package agent

import (
	"testing"
	"time"
)

// look is one observation: after a pause, of a counter and of outstanding work.
type look struct {
	after time.Duration
	steps uint64
	work  int
	hung  bool
}

func TestHangDetector(t *testing.T) {
	const s = time.Second
	// every repeats a look each second.
	every := func(n int, steps uint64, work int, hung bool) (all []look) {
		for range n {
			all = append(all, look{s, steps, work, hung})
		}
		return all
	}
	join := func(parts ...[]look) (all []look) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for name, looks := range map[string][]look{
		// The time before the first look that finds work may have been idle: it is given.
		"idle for an hour":      join(every(3600, 7, 0, false), every(16, 7, 1, false), every(1, 7, 1, true)),
		"stalls and heals":      join(every(15, 7, 4, false), every(40, 7, 4, true), every(1, 8, 4, false)),
		"stalls, then no work":  join(every(15, 7, 1, false), every(2, 7, 1, true), every(1, 7, 0, false), every(16, 7, 1, false), every(1, 7, 1, true)),
		"only waiting requests": join(every(15, 7, 1, false), every(1, 7, 1, true)),
		"saturated, long steps": func() (all []look) {
			for step := range uint64(300) {
				all = append(all, every(14, step+1, 16, false)...)
			}
			return all
		}(),
		// A step of 7 s has been seen: four times that must pass.
		"a long step is learned": join(every(6, 1, 1, false), every(1, 2, 1, false), every(28, 2, 1, false), every(1, 2, 1, true)),
		// A hang of an hour teaches at most two timeouts: 2 × 15 s × 4.
		"a hang hardly blunts": join(every(15, 7, 1, false), every(3600, 7, 1, true), every(1, 8, 1, false), every(120, 8, 1, false), every(1, 8, 1, true)),
		// Stopped or asleep for an hour: only maxGap of it counts.
		"the process stood still": join(every(5, 7, 1, false), []look{{time.Hour, 7, 1, false}}, every(7, 7, 1, false)),
		"the clock jumps back":    join(every(5, 7, 1, false), []look{{-time.Hour, 7, 1, false}}, every(10, 7, 1, false), every(1, 7, 1, true)),
	} {
		d := hangDetector{timeout: 15 * s, maxGap: 2 * s}
		now, was := time.Unix(1_762_070_400, 0), false
		d.look(now, 0, 0)
		d.look(now, looks[0].steps, looks[0].work) // work begins at this moment
		for i, l := range looks {
			now = now.Add(l.after)
			hung, changed := d.look(now, l.steps, l.work)
			if hung != l.hung || changed != (hung != was) {
				t.Fatalf("%s: look %d: hung %v changed %v after %v stalled (limit %v), want hung %v", name, i, hung, changed, d.stalled, d.limit(), l.hung)
			}
			was = hung
		}
	}
}

// On a slow device the first full prefill gets its time without having been seen.
func TestExpectedStepIsNoHang(t *testing.T) {
	d := hangDetector{timeout: 15 * time.Second, expect: 20 * time.Second, maxGap: 2 * time.Second}
	at := time.Unix(1_762_070_400, 0)
	for i := range 42 {
		if hung, _ := d.look(at.Add(time.Duration(i)*time.Second), 0, 1); hung != (i > 40) {
			t.Fatalf("after %d s: hung %v", i, hung)
		}
	}
}

func TestNoTimeoutNoHang(t *testing.T) {
	d := hangDetector{maxGap: time.Hour}
	for i := range 100 {
		if hung, _ := d.look(time.Unix(int64(i)*3600, 0), 1, 1); hung {
			t.Fatal("a hang, though nobody asked")
		}
	}
}
