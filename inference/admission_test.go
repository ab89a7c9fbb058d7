package inference

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// at1 is an admission of two slots and two waiters on a device whose step takes
// one second and whose prompt tokens take 10 ms each; answers are as long as allowed.
func at1() *admission {
	return &admission{slots: 2, waiters: 2, tokens: 1000, cache: 1 << 20, pace: pace{step: 1, row: 0.01, share: 1}}
}

// runs and waits are requests that have so many tokens to choose and to prefill.
func runs(answer int) load { return load{held: 10, answer: answer} }

func waits(answer, prompt int) load {
	return load{held: prompt, prefill: prompt, answer: answer, waits: true}
}

func TestAdmission(t *testing.T) {
	now := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		line     []load
		prompt   int
		within   time.Duration // the deadline; 0 = none
		why      error         // nil = taken
		seconds  float64       // the wait
		waitable int           // tokens that may wait
	}{
		"idle":                             {prompt: 100},
		"a slot is free":                   {line: []load{runs(50)}, prompt: 100},
		"behind a prompt":                  {line: []load{waits(50, 300)}, seconds: 3},
		"behind the one that ends first":   {line: []load{runs(50), runs(20)}, seconds: 20},
		"behind one who waits":             {line: []load{runs(50), runs(20), waits(10, 100)}, seconds: 31},
		"full":                             {line: []load{runs(50), runs(20), waits(90, 0), waits(90, 0)}, why: ErrBusy, seconds: 110},
		"too many tokens":                  {line: []load{runs(5), runs(5), waits(50, 100)}, prompt: 10, waitable: 160, why: ErrBusyTokens, seconds: 6},
		"many tokens, nobody waits":        {line: []load{runs(5), runs(9)}, prompt: 500, waitable: 160, seconds: 5},
		"a deadline that can be met":       {line: []load{runs(50), runs(20)}, prompt: 100, within: 21 * time.Second, seconds: 20},
		"a deadline that the queue breaks": {line: []load{runs(50), runs(20)}, within: 19 * time.Second, why: ErrDeadlineUnmet, seconds: 20},
		"a deadline the prompt breaks":     {prompt: 400, within: time.Second, why: ErrDeadlineUnmet},
		"idle, and an unsure estimate":     {prompt: 400, within: 3 * time.Second},
		"a deadline that has passed":       {within: -time.Second, why: ErrDeadlineUnmet},
		"full goes before the deadline":    {line: []load{runs(50), runs(20), waits(90, 0), waits(90, 0)}, within: 1, why: ErrBusy, seconds: 110},
	} {
		a := at1()
		if c.waitable > 0 {
			a.tokens = c.waitable
		}
		r := waits(20, c.prompt)
		if c.within != 0 {
			r.deadline = now.Add(c.within)
		}
		if wait, _ := a.line(c.line, nil); wait != seconds(c.seconds) {
			t.Errorf("%s: the wait is %v, want %v s", name, wait, c.seconds)
		}
		a.wait = seconds(c.seconds) // as a review that has just been
		err := a.full(len(c.line))
		if err == nil {
			err = a.decide(now, r, c.line)
		}
		switch {
		case (err == nil) != (c.why == nil) || err != nil && !errors.Is(err, c.why):
			t.Errorf("%s: %v, want %v", name, err, c.why)
		case err != nil && err.RetryAfter != seconds(c.seconds):
			t.Errorf("%s: retry after %v, the wait is %v s", name, err.RetryAfter, c.seconds)
		}
	}
}

// What sequences have in common lies in the cache once: four run at once where
// only two could that share nothing.
func TestAdmissionKnowsWhatIsShared(t *testing.T) {
	a := at1()
	a.slots, a.cache = 8, 80+4*(20+10+headroom)
	var line []load
	for range 4 {
		line = append(line, load{held: 100, shared: 80, answer: 20})
	}
	if n := a.width(line); n != 4 {
		t.Errorf("%d run at once, want 4", n)
	}
	for i := range line {
		line[i].shared = 0
	}
	if n := a.width(line); n != 2 {
		t.Errorf("%d run at once that share nothing, want 2", n)
	}
}

// With a cache that holds only one of the sequences at a time, the second waits
// for the first, however many slots there are.
func TestAdmissionKnowsTheCache(t *testing.T) {
	a := at1()
	a.slots, a.cache = 8, 100
	if wait, _ := a.line([]load{{held: 10, answer: 60}}, nil); wait != 60*time.Second {
		t.Errorf("%v", wait)
	}
}

// Nothing is known of a device that has not been measured, so nothing is
// refused for its deadline.
func TestAdmissionUnmeasured(t *testing.T) {
	a := at1()
	a.pace, a.tokens = pace{share: firstShare}, 1<<20
	now := time.Unix(1000, 0)
	r := waits(1000, 1000)
	r.deadline = now.Add(time.Millisecond)
	if err := a.decide(now, r, []load{runs(1000), runs(1000), waits(1, 1)}); err != nil {
		t.Error(err)
	}
}

func TestLate(t *testing.T) {
	a, now := at1(), time.Unix(1000, 0)
	with := func(l load, left time.Duration) load { l.deadline = now.Add(left); return l }
	line := []load{
		with(runs(50), -time.Second), runs(40), // what runs is not the queue's to end
		with(waits(10, 100), 21*time.Second), // starts in 40 s, at twice the speed in 20
		with(waits(10, 100), 19*time.Second), // waits for the end of the third
		waits(10, 100),                       // no deadline
		with(waits(10, 100), time.Hour),
	}
	if got := a.late(now, line); !slices.Equal(got, []int{3}) {
		t.Errorf("%v are late", got)
	}
	line[2] = with(waits(10, 100), 19*time.Second)
	line[3] = with(waits(10, 100), 21*time.Second) // moves up, now that the third has gone
	if got := a.late(now, line); !slices.Equal(got, []int{2}) {
		t.Errorf("%v are late", got)
	}
}

// TestAdmissionBounds: whatever the rates and the line, what was taken in stays
// within both bounds, the wait only grows with the line, and an empty line
// refuses only what the prompt itself makes impossible.
func TestAdmissionBounds(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) load {
		return waits(rapid.IntRange(1, 500).Draw(t, "answer"), rapid.IntRange(1, 500).Draw(t, "prompt"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a := &admission{
			slots: rapid.IntRange(1, 8).Draw(t, "slots"), waiters: rapid.IntRange(0, 20).Draw(t, "waiters"),
			tokens: rapid.IntRange(1, 3000).Draw(t, "tokens"), cache: 1 << 30,
			pace: pace{step: rapid.Float64Range(0, 10).Draw(t, "step"), row: rapid.Float64Range(0, 1).Draw(t, "row"), share: rapid.Float64Range(0, 1).Draw(t, "share")},
		}
		now, line, before := time.Unix(1000, 0), []load(nil), time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "arrivals") {
			r := draw.Draw(t, "request")
			if rapid.Bool().Draw(t, "has a deadline") {
				r.deadline = now.Add(time.Duration(rapid.IntRange(1, 1000).Draw(t, "left")) * time.Second)
			}
			wait, waiting := a.line(line, nil)
			if wait < before {
				t.Fatalf("the wait fell from %v to %v with one more in line", before, wait)
			}
			before = wait
			if a.full(len(line)) != nil {
				continue
			}
			if err := a.decide(now, r, line); err == nil {
				line = append(line, r)
				if waiting > 0 && waiting+a.pace.size(r) > float64(a.tokens) {
					t.Fatalf("%v tokens wait, %d may", waiting, a.tokens)
				}
			} else if len(line) == 0 && (!errors.Is(err, ErrDeadlineUnmet) || a.pace.prefill(r.prefill)/2 <= r.deadline.Sub(now)) {
				t.Fatalf("refused on an idle device: %v", err)
			}
			if len(line) > a.slots+a.waiters {
				t.Fatalf("%d are in, %d may", len(line), a.slots+a.waiters)
			}
		}
	})
}

// The pace finds the costs of a device whose steps take 5 ms and 0.2 ms for
// each prompt token, and follows when it slows down.
func TestPace(t *testing.T) {
	p := pace{share: firstShare}
	cost := func(step, row float64, prompts int) time.Duration { return seconds(step + row*float64(prompts)) }
	p.stepped(cost(0.005, 0.0002, 100), 100, 0) // before any decode step: not told apart
	if p.row != 0 {
		t.Errorf("a prompt token took %v before a step was known", p.row)
	}
	for _, speed := range []float64{1, 3} {
		for i := range 60 {
			p.stepped(cost(0.005*speed, 0, 0), 0, 4)
			p.stepped(cost(0.005*speed, 0.0002*speed, 30+i), 30+i, 4)
		}
		if p.step < 0.0049*speed || p.step > 0.0051*speed || p.row < 0.00019*speed || p.row > 0.00021*speed {
			t.Errorf("%v times slower: a step takes %v, a prompt token %v", speed, p.step, p.row)
		}
	}
	for range 200 {
		p.answered(25, 100)
	}
	if got := p.expected(400); got < 99 || got > 101 {
		t.Errorf("a quarter was used of late, %v of 400 expected", got)
	}
	if p.expected(0) != 1 {
		t.Error("a request that runs chooses one token at least")
	}
}
