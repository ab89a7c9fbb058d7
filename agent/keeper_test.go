package agent

import (
	"testing"
	"time"
)

// at makes readings of clocks that run alike.
func at(d time.Duration) clocks { return clocks{mono: d, boot: d, wall: d} }

func TestKeeperDue(t *testing.T) {
	for _, c := range []struct {
		name  string
		now   clocks
		woken bool
		want  string
	}{
		{"nothing", at(time.Second), false, ""},
		{"the timer", at(time.Minute), false, "stood still"}, // nobody looked at the clocks for a minute
		{"a request after idle", at(time.Second), true, "first request after idle"},
		{"a sleep", clocks{mono: time.Second, boot: time.Hour, wall: time.Hour}, false, "resume"},
		{"a sleep too short to matter", clocks{mono: time.Second, boot: 2 * time.Second, wall: 2 * time.Second}, false, ""},
		{"the clock set forward", clocks{mono: time.Second, boot: time.Second, wall: time.Hour}, false, "clock jump"},
		{"the clock set back", clocks{mono: time.Second, boot: time.Second, wall: -time.Hour}, false, "clock jump"},
		{"the clock corrected", clocks{mono: time.Second, boot: time.Second, wall: 3 * time.Second}, false, ""},
		{"SIGSTOP", at(longTick + time.Second), false, "stood still"},
	} {
		if got := newKeeper(time.Minute, 0, at(0)).due(c.now, c.woken); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// run lets the keeper look once a second and returns the times of its checks in
// seconds; whole says what each finds. It ends when the keeper gives up.
func run(k *keeper, from, to int, whole func(second int) bool) (checks []int, gaveUp bool) {
	for s := from; s <= to; s++ {
		now := at(time.Duration(s) * time.Second)
		if k.due(now, false) == "" {
			continue
		}
		checks = append(checks, s)
		if k.checked(now, whole(s)) {
			return checks, true
		}
	}
	return checks, false
}

func TestKeeperTimer(t *testing.T) {
	checks, gaveUp := run(newKeeper(time.Minute, 20*time.Second, at(0)), 1, 300, func(int) bool { return true })
	if len(checks) != 5 || checks[0] != 60 || checks[4] != 300 || gaveUp {
		t.Errorf("checks at %v, gave up %v", checks, gaveUp)
	}
}

// A loss is looked at more often, and for so long; a loss that heals in between
// begins anew.
func TestKeeperPatience(t *testing.T) {
	never := func(int) bool { return false }
	checks, gaveUp := run(newKeeper(time.Minute, 20*time.Second, at(0)), 1, 300, never)
	if !gaveUp || checks[0] != 60 || checks[1] != 65 || checks[len(checks)-1] != 80 {
		t.Errorf("checks at %v, gave up %v", checks, gaveUp)
	}
	if checks, gaveUp = run(newKeeper(time.Minute, 0, at(0)), 1, 300, never); gaveUp || len(checks) != 49 {
		t.Errorf("without a limit: %d checks, gave up %v", len(checks), gaveUp)
	}
	if _, gaveUp = run(newKeeper(5*time.Second, 20*time.Second, at(0)), 1, 300, func(s int) bool { return s%20 == 0 }); gaveUp {
		t.Error("gave up a loss that healed")
	}
}

// A machine that slept through the whole of its patience gets its chance.
func TestKeeperDoesNotCountSleep(t *testing.T) {
	k := newKeeper(time.Second, 20*time.Second, at(0))
	if k.checked(at(time.Second), false) {
		t.Fatal("gave up at once")
	}
	later := clocks{mono: 2 * time.Second, boot: time.Hour, wall: time.Hour}
	if why := k.due(later, false); why != "resume" || k.checked(later, false) {
		t.Errorf("%q, and gave up", why)
	}
	stopped := clocks{mono: time.Hour, boot: 2 * time.Hour, wall: 2 * time.Hour} // SIGSTOP: the monotonic clock runs on
	if why := k.due(stopped, false); why == "" || k.checked(stopped, false) {
		t.Errorf("%q, and gave up", why)
	}
}

func TestClocksRun(t *testing.T) {
	a := readClocks()
	time.Sleep(2 * time.Millisecond)
	b := readClocks()
	if b.mono <= a.mono || b.boot < b.mono-a.mono+a.boot-time.Second || b.wall == 0 {
		t.Errorf("%+v, then %+v", a, b)
	}
}
