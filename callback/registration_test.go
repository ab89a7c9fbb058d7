package callback

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// start of every machine's clock.
var start = time.Unix(1_762_070_400, 0)

// terms are the usual ones: all calls, no randomness.
func terms(change func(*Terms)) Terms {
	t := Terms{
		Ready: true, Draining: true, Window: time.Minute, Beat: 30 * time.Second,
		WaitMin: DefaultWaitMin, WaitMax: DefaultWaitMax, RandomPart: func() float64 { return 0 },
	}
	if change != nil {
		change(&t)
	}
	return t
}

// say is one line of a script: what is expected next after how long, how it ends, and the state after that.
type say struct {
	after time.Duration // that the machine waits before the step
	step  Step
	ends  Outcome // of a call
	state State
}

// events between steps.
const (
	drain   Step = 100
	drained Step = 101
)

// play runs a script over a machine whose calls take no time.
func play(t *testing.T, name string, terms Terms, script []say) {
	t.Helper()
	r, now := NewRegistration(terms), start
	r.Begin(now)
	for i, line := range script {
		at := fmt.Sprintf("%s: line %d", name, i)
		switch line.step {
		case drain:
			now = now.Add(line.after)
			r.Drain(now)
		case drained:
			now = now.Add(line.after)
			r.Drained(now)
		default:
			a := r.Next(now)
			if a.Step == Wait && !a.Until.IsZero() {
				if got := a.Until.Sub(now); got != line.after {
					t.Fatalf("%s: waits %v, want %v", at, got, line.after)
				}
				now = a.Until
				a = r.Next(now)
			} else if line.after != 0 {
				t.Fatalf("%s: step %d at once, want it after %v", at, a.Step, line.after)
			}
			if a.Step != line.step {
				t.Fatalf("%s: step %d, want %d", at, a.Step, line.step)
			}
			if line.ends != "" {
				r.Ended(a.Step, line.ends, now)
			}
		}
		if r.State() != line.state {
			t.Fatalf("%s: %s, want %s", at, r.State(), line.state)
		}
	}
}

const (
	wait1 = DefaultWaitMin / 2 // waits without their random part
	wait2 = DefaultWaitMin
	wait3 = 2 * DefaultWaitMin
	beat  = 30 * time.Second
)

func TestFirstRegistration(t *testing.T) {
	for name, script := range map[string][]say{
		"accepted": {{0, SendReady, Accepted, Registered}, {0, SendBeat, Accepted, Registered}, {beat, SendBeat, Accepted, Registered}},
		"accepted after failures": {
			{0, SendReady, Unreachable, Registering}, {wait1, SendReady, Timeout, Registering},
			{wait2, SendReady, ServerError, Registering}, {wait3, SendReady, Accepted, Registered},
		},
		"refused":          {{0, SendReady, Refused, Registering}, {0, GiveUp, "", Unregistered}, {0, GiveUp, "", Unregistered}},
		"not known":        {{0, SendReady, Gone, Registering}, {0, GiveUp, "", Unregistered}},
		"identity taken":   {{0, SendReady, Conflict, Registering}, {0, GiveUp, "", Unregistered}, {0, drain, "", Unregistered}, {0, Rest, "", Unregistered}},
		"not now":          {{0, SendReady, Busy, Registering}, {0, GiveUp, "", Unregistered}},
		"bad certificate":  {{0, SendReady, Untrusted, Registering}, {0, GiveUp, "", Unregistered}},
		"nobody, on trial": {{0, SendReady, nobody, Unregistered}, {beat, SendBeat, Accepted, Registered}},
		"a yes that was lost": { // the orchestrator may have heard: it is told of the end
			{0, SendReady, Timeout, Registering}, {time.Hour, drain, "", Deregistering}, {0, SendDraining, Accepted, Deregistering},
			{0, drained, "", Deregistering}, {0, SendDrained, Timeout, Deregistered}, {0, Rest, "", Deregistered},
		},
	} {
		play(t, name, terms(nil), script)
	}
}

// The last attempt starts with the end of the window; a window of 0 has none.
func TestSpawnWindow(t *testing.T) {
	short := terms(func(t *Terms) { t.Window = wait1 + wait2 + time.Millisecond })
	play(t, "short", short, []say{
		{0, SendReady, Unreachable, Registering}, {wait1, SendReady, Unreachable, Registering}, {wait2, SendReady, Unreachable, Registering},
		{time.Millisecond, SendReady, Unreachable, Registering}, {0, GiveUp, "", Unregistered},
	})
	r, now := NewRegistration(terms(func(t *Terms) { t.Window = 0 })), start
	r.Begin(now)
	for now.Before(start.Add(24 * time.Hour)) {
		switch a := r.Next(now); a.Step {
		case SendReady:
			r.Ended(SendReady, Unreachable, now)
		case Wait:
			if a.Until.Sub(now) > DefaultWaitMax {
				t.Fatalf("waits %v", a.Until.Sub(now))
			}
			now = a.Until
		default:
			t.Fatalf("step %d after %v of a window without end", a.Step, now.Sub(start))
		}
	}
}

func TestKeeping(t *testing.T) {
	ready := []say{{0, SendReady, Accepted, Registered}, {0, SendBeat, Accepted, Registered}}
	for name, script := range map[string][]say{
		"the orchestrator forgot": {{beat, SendBeat, Gone, Lost}, {wait1, SendReady, Accepted, Registered}, {beat, SendBeat, Accepted, Registered}},
		"the orchestrator was away": {
			{beat, SendBeat, Unreachable, Lost}, {wait1, SendReady, Unreachable, Lost}, {wait2, SendReady, Timeout, Lost},
			{wait3, SendReady, Accepted, Registered}, {beat, SendBeat, Unreachable, Lost}, {wait1, SendReady, Accepted, Registered},
		},
		"its certificate has expired": {{beat, SendBeat, Untrusted, Lost}, {wait1, SendReady, Untrusted, Lost}, {wait2, SendReady, Accepted, Registered}},
		"its door redirects":          {{beat, SendBeat, Unreachable, Lost}, {wait1, SendReady, Redirected, Lost}, {wait2, SendReady, Accepted, Registered}},
		"it is flooded":               {{beat, SendBeat, Unreachable, Lost}, {wait1, SendReady, Busy, Lost}, {wait2, SendReady, Accepted, Registered}},
		"no heartbeats, please":       {{beat, SendBeat, Refused, Registered}, {beat, SendBeat, Redirected, Registered}, {beat, SendBeat, Busy, Registered}},
		"another has the identity":    {{beat, SendBeat, Conflict, Deregistered}, {0, Leave, "", Deregistered}, {0, drain, "", Deregistered}, {0, Rest, "", Deregistered}},
		"another has it since the outage": {
			{beat, SendBeat, Unreachable, Lost}, {wait1, SendReady, Conflict, Deregistered}, {0, Leave, "", Deregistered},
			{0, drain, "", Deregistered}, {0, drained, "", Deregistered}, {0, Rest, "", Deregistered},
		},
		"unfit when it should come back": {
			{beat, SendBeat, Gone, Lost}, {wait1, SendReady, unfit, Lost}, {wait2, SendReady, unfit, Lost}, {wait3, SendReady, Accepted, Registered},
		},
		"not wanted any more": {{beat, SendBeat, Gone, Lost}, {wait1, SendReady, Refused, Deregistered}, {0, Leave, "", Deregistered}},
		"a call cut by the drain": {
			{beat, SendBeat, abandoned, Registered}, {0, drain, "", Deregistering}, {0, SendDraining, Accepted, Deregistering},
		},
	} {
		play(t, name, terms(nil), append(ready, script...))
	}
}

func TestRenewal(t *testing.T) {
	renewing := func(t *Terms) { t.Beat, t.Renew = 0, 10*time.Second }
	play(t, "renewed", terms(renewing), []say{
		{0, SendReady, Accepted, Registered}, {10 * time.Second, SendReady, Accepted, Registered},
		{10 * time.Second, SendReady, Unreachable, Lost}, {wait1, SendReady, Accepted, Registered}, {10 * time.Second, SendReady, Conflict, Deregistered},
		{0, Leave, "", Deregistered},
	})
	play(t, "unfit for a renewal", terms(renewing), []say{
		{0, SendReady, Accepted, Registered}, {10 * time.Second, SendReady, unfit, Registered}, {10 * time.Second, SendReady, Accepted, Registered},
	})
	both := terms(func(t *Terms) { t.Renew = 40 * time.Second })
	play(t, "between heartbeats", both, []say{
		{0, SendReady, Accepted, Registered}, {0, SendBeat, Accepted, Registered}, {beat, SendBeat, Accepted, Registered},
		{10 * time.Second, SendReady, Accepted, Registered}, {beat, SendBeat, Accepted, Registered},
	})
	neither := terms(func(t *Terms) { t.Beat = 0 })
	play(t, "registered once", neither, []say{{0, SendReady, Accepted, Registered}, {0, Wait, "", Registered}, {0, drain, "", Deregistering}})
}

// Without a ready call the heartbeats are the registration. None of their answers but a conflict is fatal.
func TestHeartbeatsAlone(t *testing.T) {
	alone := terms(func(t *Terms) { t.Ready = false })
	play(t, "alone", alone, []say{
		{0, SendBeat, Unreachable, Unregistered}, {wait1, SendBeat, Gone, Unregistered}, {beat, SendBeat, Accepted, Registered},
		{beat, SendBeat, Gone, Lost}, {beat, SendBeat, ServerError, Lost}, {wait2, SendBeat, Accepted, Registered},
		{time.Second, drain, "", Deregistering}, {0, SendDraining, Accepted, Deregistering}, {beat - time.Second, SendBeat, Gone, Deregistering},
	})
	play(t, "conflict", alone, []say{{0, SendBeat, Conflict, Deregistered}, {0, Leave, "", Deregistered}})
}

func TestDraining(t *testing.T) {
	ready := []say{{0, SendReady, Accepted, Registered}, {0, SendBeat, Accepted, Registered}, {time.Second, drain, "", Deregistering}}
	for name, script := range map[string][]say{
		"a long one": { // heartbeats go on: their receivers kill what is silent
			{0, SendDraining, Accepted, Deregistering}, {beat - time.Second, SendBeat, Gone, Deregistering}, {beat, SendBeat, Conflict, Deregistering},
			{0, drained, "", Deregistering}, {0, SendDrained, Accepted, Deregistered}, {0, Rest, "", Deregistered},
		},
		"told again": {
			{0, SendDraining, Timeout, Deregistering}, {wait1, SendDraining, ServerError, Deregistering}, {wait2, SendDraining, Refused, Deregistering},
			{time.Second, drained, "", Deregistering}, {0, SendDrained, Refused, Deregistered}, {0, Rest, "", Deregistered},
		},
		"over before it was told": {
			{0, SendDraining, Timeout, Deregistering}, {0, drained, "", Deregistering}, {0, drained, "", Deregistering},
			{0, SendDrained, Unreachable, Deregistered}, {0, drained, "", Deregistered}, {0, Rest, "", Deregistered},
		},
		"twice": {{0, SendDraining, Accepted, Deregistering}, {time.Second, drain, "", Deregistering}, {28 * time.Second, SendBeat, Accepted, Deregistering}},
	} {
		play(t, name, terms(nil), append(ready, script...))
	}
	play(t, "nobody to tell", terms(func(t *Terms) { t.Draining = false }), append(ready,
		say{beat - time.Second, SendBeat, Accepted, Deregistering}, say{0, drained, "", Deregistered}, say{0, Rest, "", Deregistered}))
	r := NewRegistration(terms(nil))
	r.Drain(start) // while loading
	if a := r.Next(start); a.Step != Rest || r.State() != Unregistered {
		t.Errorf("a worker that never called: step %d, %s", a.Step, r.State())
	}
}

func TestWaitBounds(t *testing.T) {
	for _, random := range []float64{0, 0.5, 0.999999999} {
		r := NewRegistration(terms(func(t *Terms) { t.RandomPart = func() float64 { return random } }))
		whole := DefaultWaitMin
		for attempt := range 100 {
			if got := r.wait(); got < whole/2 || got > whole {
				t.Fatalf("attempt %d, random part %v: wait %v outside [%v, %v]", attempt, random, got, whole/2, whole)
			}
			whole = min(DefaultWaitMax, 2*whole)
		}
	}
}

// journey drives a machine with drawn outcomes, times and a drain, and checks what must hold on every way.
type journey struct {
	*rapid.T
	r                   *Registration
	now                 time.Time
	yes                 bool // something was accepted
	draining, told, end bool
	evicted, gaveUp     bool
	calls               int
	lastReady           time.Time
}

func (j *journey) step() {
	a := j.r.Next(j.now)
	switch a.Step {
	case Wait:
		j.waits(a.Until)
		return
	case GiveUp:
		j.gaveUp = true
		if j.yes {
			j.Fatal("gives up after a yes")
		}
		return
	case Leave:
		j.evicted = true
		return
	case Rest:
		if !j.draining {
			j.Fatal("rests before the drain")
		}
		return
	}
	j.calls++
	j.allowed(a.Step)
	before := j.r.State()
	j.now = j.now.Add(time.Duration(rapid.Int64Range(0, int64(6*time.Second)).Draw(j.T, "took")))
	o := rapid.SampledFrom(append(Outcomes[:], Accepted, Accepted, Unreachable, unfit)).Draw(j.T, "outcome")
	j.r.Ended(a.Step, o, j.now)
	after := j.r.State()
	if o == Accepted && !j.draining {
		j.yes = true
	}
	if after == Registered && before != Registered && o != Accepted {
		j.Fatalf("%s → registered after %s", before, o)
	}
	if after == Deregistered && !j.draining && o != Conflict && o != Gone && o != Refused {
		j.Fatalf("%s ended the registration", o)
	}
}

// allowed checks a call against what has been before.
func (j *journey) allowed(s Step) {
	switch {
	case j.end && s != SendDrained:
		j.Fatalf("step %d after the drain was over", s)
	case j.evicted || j.gaveUp && !j.draining:
		j.Fatalf("step %d after the end", s)
	case j.draining && s == SendReady:
		j.Fatal("a draining worker says that it is ready")
	case j.draining && !j.told && s == SendBeat && j.r.terms.Draining:
		j.Fatal("a heartbeat before the word of the drain")
	case !j.draining && (s == SendDraining || s == SendDrained):
		j.Fatal("tells of a drain that has not begun")
	}
	if s == SendDraining {
		j.told = true
	}
	if s == SendReady {
		last := j.now.Equal(j.r.until) // of the window: comes when that ends
		if gap := j.now.Sub(j.lastReady); !last && !j.lastReady.IsZero() && gap < DefaultWaitMin/2 {
			j.Fatalf("ready calls %v apart", gap)
		}
		j.lastReady = j.now
	}
}

func (j *journey) waits(until time.Time) {
	if until.IsZero() {
		j.now = j.now.Add(time.Second)
		return
	}
	if s := j.r.State(); (s == Lost || s == Registering) && j.r.terms.Ready && until.Sub(j.now) > DefaultWaitMax {
		j.Fatalf("%s waits %v", s, until.Sub(j.now))
	}
	j.now = until
}

func TestEveryWayKeepsTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRegistration(Terms{
			Ready: rapid.Bool().Draw(t, "ready"), Draining: rapid.Bool().Draw(t, "deregister"),
			Window: rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "window"),
			Beat:   rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "beat"),
			Renew:  rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "renew"), WaitMin: DefaultWaitMin, WaitMax: DefaultWaitMax,
			RandomPart: func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "random") },
		})
		j := &journey{T: t, r: r, now: start}
		r.Begin(j.now)
		drainAt := rapid.IntRange(1, 40).Draw(t, "drain at")
		for i := range drainAt + rapid.IntRange(0, 20).Draw(t, "drain for") {
			if i == drainAt {
				r.Drain(j.now)
				j.draining = true
			}
			j.step()
		}
		r.Drain(j.now)
		r.Drained(j.now)
		j.draining, j.end = true, true
		j.calls = 0
		j.step()
		j.step()
		if a := r.Next(j.now); a.Step != Rest || j.calls > 1 {
			t.Fatalf("after the end: step %d, %d calls", a.Step, j.calls)
		}
	})
}

// However long an orchestrator is away, it hears of the worker within 5 s after it is back, if the worker has missed it.
func TestBackWithinFiveSeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRegistration(terms(func(x *Terms) {
			x.Window, x.RandomPart = 0, func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "random") }
		}))
		now := start
		away := start.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "away after")))
		back := away.Add(beat + time.Duration(rapid.Int64Range(int64(time.Second), int64(20*time.Minute)).Draw(t, "away for")))
		r.Begin(now)
		for {
			switch a := r.Next(now); a.Step {
			case Wait:
				now = a.Until
			default:
				gone := !now.Before(away) && now.Before(back)
				if gone { // a connection that cannot be made takes at most this long to be given up
					now = now.Add(time.Duration(rapid.Int64Range(0, int64(dialLimit)).Draw(t, "dial")))
					r.Ended(a.Step, Unreachable, now)
					continue
				}
				r.Ended(a.Step, Accepted, now)
				if now.Before(back) {
					continue
				}
				if late := now.Sub(back); r.State() != Registered || late > 5*time.Second {
					t.Fatalf("%s %v after the orchestrator is back", r.State(), late)
				}
				return
			}
		}
	})
}

func TestEpochsDiffer(t *testing.T) {
	a, b, later := NewEpoch(start), NewEpoch(start), NewEpoch(start.Add(time.Millisecond))
	if a == b || len(a) != 29 || later <= a || later <= b {
		t.Errorf("%s %s %s", a, b, later)
	}
}
