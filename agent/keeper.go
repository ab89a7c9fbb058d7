package agent

import "time"

const (
	// retryDegraded is how soon a degraded worker looks again, if the configured
	// interval is longer.
	retryDegraded = 5 * time.Second
	// keepTick is how often the clocks are read. A gap of longTick is the whole
	// process having stood still: SIGSTOP, a frozen group, a paused machine.
	keepTick = time.Second
	longTick = 10 * keepTick
	// sleptFor is more than the clocks drift apart by being read one by one, and
	// jumpOf more than time synchronisation steps a clock that runs well.
	sleptFor = time.Second
	jumpOf   = 10 * time.Second
)

// clocks are readings of one moment. Each has a zero of its own: only what
// passes between two moments means anything.
type clocks struct {
	mono time.Duration // stands still while the machine sleeps
	boot time.Duration // does not
	wall time.Duration // is set from outside
}

// keeper decides when residency is looked at again, and when it was lost for too
// long. It is plain bookkeeping: the caller brings the time.
type keeper struct {
	every    time.Duration // between checks while all is well
	patience time.Duration // a loss that lasts longer is for good; 0: none is

	last   clocks
	next   time.Duration // on the monotonic clock
	losing bool
	lost   time.Duration // since the loss was found, as far as it was seen to pass
	looked time.Duration // the last check, on the monotonic clock
}

// newKeeper begins right after a check that found all in place.
func newKeeper(every, patience time.Duration, now clocks) *keeper {
	return &keeper{every: every, patience: patience, last: now, next: now.mono + every, looked: now.mono}
}

// due returns why residency must be looked at now, "" if it need not be. woken
// says that the first request after a long idle time has come.
func (k *keeper) due(now clocks, woken bool) string {
	gap := now.mono - k.last.mono
	slept := now.boot - k.last.boot - gap
	jumped := now.wall - k.last.wall - gap
	k.last = now
	switch {
	case slept > sleptFor:
		return "resume"
	case jumped > jumpOf || jumped < -jumpOf:
		return "clock jump" // a virtual machine that was paused may show in nothing else
	case gap > longTick:
		return "stood still"
	case woken:
		return "first request after idle"
	case now.mono >= k.next:
		return "timer"
	}
	return ""
}

// checked takes the result of a check. It returns true when the loss has lasted
// too long. Time that was not seen to pass, as a sleep of the machine or a long
// restoration, does not count.
func (k *keeper) checked(now clocks, whole bool) (tooLong bool) {
	k.last = now // what the check took is no gap
	wait := k.every
	switch {
	case whole:
		k.losing, k.lost = false, 0
	case k.losing:
		wait = min(wait, retryDegraded)
		k.lost += min(now.mono-k.looked, 2*wait)
	default:
		wait = min(wait, retryDegraded)
		k.losing = true
	}
	k.looked, k.next = now.mono, now.mono+wait
	return k.losing && k.patience > 0 && k.lost >= k.patience
}
