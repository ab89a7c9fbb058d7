package callback

import "time"

// State is where a worker stands with its orchestrator. The numbers are those of the metric.
type State int32

const (
	Unregistered  State = iota // not yet, standalone, given up, or nobody at the trial address
	Registering                // the first ready call is being made
	Registered                 // the last word of the orchestrator was yes
	Lost                       // it does not answer, or does not know this worker any more; the next attempt waits
	Reregistering              // a ready call after a loss is being made
	Deregistering              // the worker drains
	Deregistered               // it has left, or the orchestrator has ended the registration
)

var stateNames = [...]string{"unregistered", "registering", "registered", "lost", "re-registering", "deregistering", "deregistered"}

func (s State) String() string { return stateNames[s] }

// Step is what a worker does next about its registration.
type Step uint8

const (
	Wait         Step = iota // until Action.Until, or for an event where that is zero
	SendReady                // tell that the worker is ready
	SendBeat                 // send every heartbeat that is asked for
	SendDraining             // tell that no more work is taken
	SendDrained              // tell what became of the work
	GiveUp                   // the first registration has failed: end the worker
	Leave                    // the orchestrator has ended the registration: drain and end the worker
	Rest                     // nothing will ever be due again
)

// repeats is how often a call of this step is repeated at once where nobody answers. Only those are for which the
// machine plans no attempt of its own: one broken connection must not make a heartbeat a loss, nor swallow the last word.
func (s Step) repeats() int {
	if s == SendBeat || s == SendDrained {
		return 2
	}
	return 0
}

// Action is a step, and how long to wait where that is the step.
type Action struct {
	Step  Step
	Until time.Time
}

// Terms say what calls there are and when they are made.
type Terms struct {
	Ready      bool           // there is a ready call
	Draining   bool           // there is a call when the worker drains
	Window     time.Duration  // attempts of the first registration start within it; 0: for ever
	Beat       time.Duration  // between heartbeats, a tenth less now and then; 0: none are sent
	Renew      time.Duration  // between ready calls of a registered worker; 0: they are not repeated
	WaitMin    time.Duration  // before the second attempt, doubled before each further one
	WaitMax    time.Duration  // longest wait between attempts
	RandomPart func() float64 // from [0, 1)
}

// Registration is the protocol as a state machine. It makes no call and knows no clock: whoever drives it asks Next,
// does what it says and reports how that ended. One call is under way at a time.
type Registration struct {
	terms Terms
	state State

	next Step      // what is due, Wait while a call is under way
	due  time.Time // when; zero with Wait

	until    time.Time // end of the spawn window
	accepted bool      // at least once
	known    bool      // the orchestrator may know of this worker
	failures int       // in a row
	beatAt   time.Time
	renewAt  time.Time
	leaving  bool // a drain has begun
}

// NewRegistration returns a machine at rest in Unregistered.
func NewRegistration(t Terms) *Registration { return &Registration{terms: t} }

// State is where the worker stands.
func (r *Registration) State() State { return r.state }

// Begin starts the first registration, or the heartbeats where there is no ready call.
func (r *Registration) Begin(now time.Time) {
	if r.terms.Ready {
		r.state, r.until = Registering, now.Add(r.terms.Window)
		r.set(SendReady, now)
		return
	}
	r.beatAt = now
	r.keep()
}

// Next says what to do at this moment. A call it names counts as under way until Ended is told.
func (r *Registration) Next(now time.Time) Action {
	if r.next == Wait || now.Before(r.due) {
		return Action{Wait, r.due}
	}
	step := r.next
	switch step {
	case SendReady:
		r.known = true
		if r.state == Lost {
			r.state = Reregistering
		}
		r.set(Wait, time.Time{})
	case SendBeat:
		r.known = true
		r.set(Wait, time.Time{})
	case SendDraining, SendDrained:
		r.set(Wait, time.Time{})
	case GiveUp:
		r.state = Unregistered
	}
	return Action{Step: step}
}

// Ended takes the outcome of the call under way.
func (r *Registration) Ended(step Step, o Outcome, now time.Time) {
	switch {
	case step == SendDrained:
		r.finish()
	case step == SendDraining:
		r.heard(o, now)
	case r.leaving:
		if r.next == Wait {
			r.beatLater(now)
			r.keep()
		}
	case o == abandoned: // a drain, or the end of the process, follows
	case o == Accepted:
		r.hold(step, now)
	case step == SendBeat:
		r.missed(o, now)
	case r.accepted:
		r.dropped(o, now)
	default:
		r.rejected(o, now)
	}
}

// hold follows an accepted call.
func (r *Registration) hold(step Step, now time.Time) {
	first := !r.accepted
	r.failures = 0
	if step == SendReady || !r.terms.Ready {
		r.state, r.accepted = Registered, true
	}
	if step == SendReady {
		r.renewAt = now.Add(r.terms.Renew)
	}
	r.beatLater(now)
	if first && step == SendReady {
		r.beatAt = now // receivers expect the first one at once
	}
	r.keep()
}

// missed follows a heartbeat that was not accepted. It is never fatal, but for the word that another process has
// this identity.
func (r *Registration) missed(o Outcome, now time.Time) {
	r.beatLater(now)
	switch {
	case o == Conflict:
		r.evict()
	case o == Gone || o.passes() || o == Untrusted:
		r.lose(o != Gone, now)
	default: // the receiver does not want heartbeats of this kind; that is no word about the registration
		r.keep()
	}
}

// dropped follows a ready call that was not accepted, from a worker that was registered.
func (r *Registration) dropped(o Outcome, now time.Time) {
	switch {
	case o == Conflict || o == Gone || o == Refused:
		r.evict()
	case o == unfit && r.state == Registered: // a renewal
		r.renewAt = now.Add(r.terms.Renew)
		r.keep()
	default:
		// A certificate that has expired or a redirect is a fault of the orchestrator's, and may end: a fleet must not
		// end itself for it. A worker that is unfit looks again as soon.
		r.lose(true, now)
	}
}

// lose waits for the next attempt. Without a ready call the next heartbeat is that attempt.
func (r *Registration) lose(hurry bool, now time.Time) {
	if r.accepted {
		r.state = Lost
	}
	again := now.Add(r.wait())
	switch {
	case r.terms.Ready && r.accepted:
		r.set(SendReady, again)
	case hurry && again.Before(r.beatAt):
		r.set(SendBeat, again)
	default:
		r.keep()
	}
}

// rejected follows an attempt of the first registration that was not accepted.
func (r *Registration) rejected(o Outcome, now time.Time) {
	open := r.terms.Window == 0 || now.Before(r.until)
	switch {
	case o == nobody:
		r.terms.Ready, r.known, r.state = false, false, Unregistered
		r.beatLater(now)
		r.keep()
	case o.passes() && open:
		again := now.Add(r.wait())
		if r.terms.Window > 0 && again.After(r.until) {
			again = r.until // the last attempt
		}
		r.set(SendReady, again)
	default:
		r.known = o.passes() // an answer that was lost may have been a yes
		r.set(GiveUp, now)
	}
}

// evict ends the registration by the orchestrator's word. Nothing is called any more: by its id alone, that word would
// be taken for one of the process that has the identity now.
func (r *Registration) evict() {
	r.state, r.known = Deregistered, false
	r.set(Leave, time.Time{})
}

// Drain begins the end. It overrides whatever was due.
func (r *Registration) Drain(now time.Time) {
	if r.leaving {
		return
	}
	r.leaving, r.failures = true, 0
	if r.state == Deregistered || !r.known {
		r.finish()
		return
	}
	r.state = Deregistering
	if r.terms.Draining {
		r.set(SendDraining, now)
		return
	}
	r.keep()
}

// heard follows the call that told of the drain. It is repeated while the drain lasts.
func (r *Registration) heard(o Outcome, now time.Time) {
	if o.passes() {
		r.set(SendDraining, now.Add(r.wait()))
		return
	}
	r.keep()
}

// Drained ends it all: what is left to say is said now.
func (r *Registration) Drained(now time.Time) {
	if r.state == Deregistering && r.terms.Draining {
		if r.next != SendDrained {
			r.set(SendDrained, now)
		}
		return
	}
	r.finish()
}

func (r *Registration) finish() {
	if r.state == Deregistering {
		r.state = Deregistered
	}
	r.set(Rest, time.Time{})
}

func (r *Registration) set(step Step, due time.Time) { r.next, r.due = step, due }

// keep plans the next call of a registration that holds: a heartbeat, or the renewal, whichever comes first.
func (r *Registration) keep() {
	beats := r.terms.Beat > 0
	renews := r.terms.Renew > 0 && r.terms.Ready && r.accepted && !r.leaving
	switch {
	case beats && (!renews || !r.renewAt.Before(r.beatAt)):
		r.set(SendBeat, r.beatAt)
	case renews:
		r.set(SendReady, r.renewAt)
	default:
		r.set(Wait, time.Time{})
	}
}

// beatLater draws the time of the next heartbeat: never later than the interval, which receivers count by, and not at
// the same moment for workers that were started together.
func (r *Registration) beatLater(now time.Time) {
	r.beatAt = now.Add(r.terms.Beat - time.Duration(r.terms.RandomPart()*float64(r.terms.Beat/10)))
}

// wait doubles from WaitMin to WaitMax and takes a random share of its upper half, so that workers that lost the same
// orchestrator do not come back together.
func (r *Registration) wait() time.Duration {
	whole := r.terms.WaitMax
	if r.failures < 32 && r.terms.WaitMin<<r.failures < whole && r.terms.WaitMin<<r.failures > 0 {
		whole = r.terms.WaitMin << r.failures
	}
	r.failures++
	return whole/2 + time.Duration(r.terms.RandomPart()*float64(whole-whole/2))
}
