package agent

import (
	"cmp"
	"slices"
	"time"
)

// impairment is one thing that keeps a loaded worker from being sent work.
// Several can hold at once; each heals by itself.
type impairment struct {
	cause  Cause
	reason string
	since  time.Time
}

// Standing is what the worker says of itself at one moment.
type Standing struct {
	State  State
	Cause  Cause  // CauseNone when work may be sent
	Reason string // for people; may name files
	Since  time.Time
}

// Standing reads the state without a lock. Of several impairments it shows the
// first of the table of causes.
func (m *Machine) Standing() Standing {
	p := m.current.Load()
	s := Standing{p.state, p.cause, p.reason, p.since}
	if p.state != Ready {
		return s
	}
	if all := *m.impaired.Load(); len(all) > 0 {
		return Standing{Degraded, all[0].cause, all[0].reason, all[0].since}
	}
	if m.active.Load() > 0 {
		s.State = Busy
	}
	return s
}

// Impair records that cause holds. A ready worker is degraded while any
// impairment holds; in other states it only shows once the worker is ready.
// One that holds already keeps its time and gets the new reason.
func (m *Machine) Impair(cause Cause, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Clone(*m.impaired.Load())
	if i := slices.IndexFunc(all, func(x impairment) bool { return x.cause == cause }); i >= 0 {
		all[i].reason = reason
		m.impaired.Store(&all)
		return
	}
	all = append(all, impairment{cause, reason, m.now()})
	slices.SortFunc(all, func(a, b impairment) int { return cmp.Compare(a.cause, b.cause) })
	m.impaired.Store(&all)
	m.log.Warn("impaired", "cause", cause.String(), "reason", reason)
}

// Heal records that cause no longer holds, and tells whether it did.
func (m *Machine) Heal(cause Cause) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := *m.impaired.Load()
	i := slices.IndexFunc(all, func(x impairment) bool { return x.cause == cause })
	if i < 0 {
		return false
	}
	m.log.Info("healed", "cause", cause.String(), "lasted", m.now().Sub(all[i].since))
	rest := slices.Delete(slices.Clone(all), i, i+1)
	m.impaired.Store(&rest)
	if p := m.current.Load(); p.state == Ready && len(rest) == 0 {
		m.current.Store(&phase{state: Ready, reason: cause.String() + " is over", since: m.now()})
	}
	return true
}
