package agent

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"llorch/residency"
)

// State is where the process is in its life.
type State uint8

const (
	Starting State = iota
	Loading
	Verifying
	Registering
	Ready
	Busy     // Ready with requests in flight; derived, never entered by hand
	Degraded // Ready with an impairment; derived, too
	Faulted
	Draining
	Stopped
	numStates
)

// stateFacts is everything that depends on the state, in one table: what a
// probe gets, what the orchestrator's poll reads, and where the state may lead.
var stateFacts = [numStates]struct {
	name  string
	cause Cause  // why no work is taken; Degraded has that of its impairment
	poll  string // the word of /v1/ready, which knows four
	next  []State
}{
	Starting:    {"starting", CauseStarting, "loading", []State{Loading, Draining, Stopped}},
	Loading:     {"loading", CauseLoading, "loading", []State{Verifying, Faulted, Draining, Stopped}},
	Verifying:   {"verifying", CauseVerifying, "loading", []State{Registering, Faulted, Draining, Stopped}},
	Registering: {"registering", CauseRegistering, "loading", []State{Ready, Faulted, Draining, Stopped}},
	Ready:       {"ready", CauseNone, "idle", []State{Faulted, Draining}},
	Busy:        {"busy", CauseNone, "busy", nil},
	Degraded:    {"degraded", CauseNone, "error", nil},
	Faulted:     {"faulted", CauseFault, "error", []State{Draining, Stopped}},
	Draining:    {"draining", CauseDraining, "error", []State{Stopped}},
	Stopped:     {"stopped", CauseStopped, "error", nil},
}

func (s State) String() string {
	if s >= numStates {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return stateFacts[s].name
}

// Accepts reports whether new requests are taken in this state.
func (s State) Accepts() bool { return s == Ready || s == Busy }

// loading reports whether the state comes before the first readiness.
func (s State) loading() bool { return s < Ready }

// phase is one entered state, when and why.
type phase struct {
	state  State
	cause  Cause
	reason string
	since  time.Time
}

// Machine is the one owner of the process's state. Changes are serialised;
// reads are atomics, so that probes never wait behind anything.
type Machine struct {
	log       *slog.Logger
	now       func() time.Time
	mu        sync.Mutex
	current   atomic.Pointer[phase]
	impaired  atomic.Pointer[[]impairment] // sorted by cause; empty: none
	active    atomic.Int64
	progress  atomic.Pointer[Progress]
	residency atomic.Pointer[residency.Report]
	fault     atomic.Pointer[string] // class of the device fault; nil: none
	idle      idleWatch
}

// NewMachine returns a machine in Starting. A nil logger is silent.
func NewMachine(log *slog.Logger) *Machine {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := &Machine{log: log, now: time.Now, idle: idleWatch{woken: make(chan struct{}, 1)}}
	m.current.Store(&phase{state: Starting, cause: CauseStarting, since: m.now()})
	m.impaired.Store(&[]impairment{})
	m.residency.Store(&residency.Report{})
	m.progress.Store(&Progress{Phase: "start"})
	return m
}

// State returns the state of this moment and the reason it was entered for, in
// words for people.
func (m *Machine) State() (State, string) {
	s := m.Standing()
	return s.State, s.Reason
}

// To enters the next state; reason is shown to whoever asks why. A step the
// table does not know is refused: it would be a bug in the order of start or
// stop. Entering the present state again is no change and no error.
func (m *Machine) To(next State, reason string) error {
	return m.toBecause(next, stateFacts[next].cause, reason)
}

// toBecause enters a state for another cause than its usual one.
func (m *Machine) toBecause(next State, cause Cause, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := m.current.Load().state
	if from == next {
		return nil
	}
	for _, s := range stateFacts[from].next {
		if s == next {
			m.current.Store(&phase{state: next, cause: cause, reason: reason, since: m.now()})
			m.log.Info("state", "from", from.String(), "to", next.String(), "cause", cause.String(), "reason", reason)
			return nil
		}
	}
	return fmt.Errorf("agent: state %s cannot follow %s", next, from)
}

// begin counts a request in; the state shows busy while any is in flight.
func (m *Machine) begin() {
	if m.active.Add(1) == 1 {
		m.idle.began(m.now())
	}
}

func (m *Machine) done() {
	if m.active.Add(-1) == 0 {
		m.idle.ended(m.now())
	}
}

// SetResidency records the verdict of a residency check.
func (m *Machine) SetResidency(r residency.Report) { m.residency.Store(&r) }

// SetFault records the class of a device fault, before Faulted is entered.
func (m *Machine) SetFault(class string) { m.fault.Store(&class) }

// Fault is the class of the device fault, one word, "" if there was none.
func (m *Machine) Fault() string {
	if class := m.fault.Load(); class != nil {
		return *class
	}
	return ""
}

// Residency is the last verdict, not resident before the first.
func (m *Machine) Residency() residency.Report { return *m.residency.Load() }

// Resident is the verdict in one word.
func (m *Machine) Resident() bool { return m.Residency().Resident }
