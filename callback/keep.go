package callback

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"time"
)

// Ready reports the worker and returns nil once the orchestrator accepted it. Errors: ErrRefused, ErrRedirect,
// ErrForbidden, ErrGaveUp, ErrTrialNobody, or the context's. With ProfileNone it returns nil without a call.
func (c *Client) Ready(ctx context.Context, r Ready) error {
	if c.o.Profile != ProfileNone {
		if _, err := r.body(c.o.Profile); err != nil {
			return err
		}
		c.ready = r
	}
	c.registration.Begin(c.o.Now())
	c.tell()
	for c.registration.State() == Registering {
		switch a := c.registration.Next(c.o.Now()); a.Step {
		case GiveUp:
			c.tell()
			return c.givenUp()
		case Wait:
			if err := c.pause(ctx, a.Until); err != nil {
				return fmt.Errorf("callback: %s: %w", c.registers.shown, err)
			}
		default:
			c.perform(ctx, a.Step)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("callback: %s: %w", c.registers.shown, context.Cause(ctx))
		}
	}
	if errors.Is(c.failure, ErrTrialNobody) {
		return c.failure
	}
	return nil
}

func (c *Client) givenUp() error {
	if !c.registration.known { // the answer was no, not a failure to get one
		return c.failure
	}
	return fmt.Errorf("%w: %s did not accept this worker within %v (%d attempts): %w",
		ErrGaveUp, c.registers.shown, c.o.Window, c.attempts, c.failure)
}

// Keep holds the registration after Ready: heartbeats, renewals, registering again after a loss, and what is to be
// said when the worker drains. It returns nil when all has been said, ErrDeregistered when the orchestrator has ended
// the registration, or the context's error.
func (c *Client) Keep(ctx context.Context) error {
	for {
		now := c.o.Now()
		if c.leaving.Err() != nil {
			c.registration.Drain(now)
		}
		if c.over.Err() != nil {
			c.registration.Drained(now)
		}
		a := c.registration.Next(now)
		c.tell()
		switch a.Step {
		case Rest:
			return nil
		case Leave:
			return fmt.Errorf("%w: %w", ErrDeregistered, c.failure)
		case Wait, GiveUp: // who gave up still says so when it drains
			if err := c.pause(ctx, a.Until); err != nil {
				return fmt.Errorf("callback: %w", err)
			}
		default:
			c.perform(ctx, a.Step)
			c.tell()
		}
	}
}

// Drained ends the registration: Keep says what became of the requests and returns.
func (c *Client) Drained(r DrainReport) {
	c.report = r
	c.Drain()
	c.end()
}

// pause waits for a moment, or for Drain and Drained.
func (c *Client) pause(ctx context.Context, until time.Time) error {
	var due <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(until.Sub(c.o.Now()))
		defer t.Stop()
		due = t.C
	}
	leaving, over := c.leaving.Done(), c.over.Done()
	if c.leaving.Err() != nil {
		leaving = nil
	}
	if c.over.Err() != nil {
		over = nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-due:
	case <-leaving:
	case <-over:
	}
	return nil
}

// perform makes the calls of one step and tells the machine how they ended.
func (c *Client) perform(ctx context.Context, s Step) {
	outcome, err := Accepted, error(nil)
	switch s {
	case SendReady:
		outcome, err = c.introduce(ctx)
	case SendBeat:
		for _, h := range c.beats {
			body, e := h.body(c.o.Health(), c.o.Now())
			o := abandoned
			if e == nil {
				o, e = c.call(ctx, s, h.target, body)
			}
			if o.gravity() > outcome.gravity() {
				outcome, err = o, e
			}
		}
	case SendDraining, SendDrained:
		body, e := c.o.Card.drainingBody(c.o.Epoch)
		if s == SendDrained {
			body, e = c.o.Card.drainedBody(c.o.Epoch, c.report)
		}
		if outcome, err = abandoned, e; e == nil {
			outcome, err = c.call(ctx, s, c.farewells, body)
		}
	}
	c.attempts++
	if err != nil {
		c.failure = err
	}
	c.registration.Ended(s, outcome, c.o.Now())
	c.logFailure(ctx, s, outcome, err)
	if outcome == Accepted {
		c.attempts = 0
	}
}

// introduce makes the ready call. A worker that was ready once and is not now must not say that it is.
func (c *Client) introduce(ctx context.Context) (Outcome, error) {
	if c.registration.accepted && !c.o.Health().Healthy {
		return unfit, nil
	}
	if c.o.Evidence != nil {
		c.ready.Evidence = c.o.Evidence()
	}
	body, err := c.ready.body(c.o.Profile)
	if err != nil {
		return abandoned, err
	}
	return c.call(ctx, SendReady, c.registers, body)
}

// call makes one call within its time. Drain and Drained stop what is under way: what they have to say comes first.
func (c *Client) call(ctx context.Context, s Step, t target, body []byte) (Outcome, error) {
	stopped, stop := context.WithCancel(ctx)
	defer stop()
	limit := c.o.Timeout
	switch {
	case s == SendDraining || s == SendDrained:
		limit = min(limit, farewellLimit)
	case c.leaving.Err() == nil:
		defer context.AfterFunc(c.leaving, stop)()
	default:
		defer context.AfterFunc(c.over, stop)()
	}
	within, cancel := context.WithTimeout(stopped, limit)
	defer cancel()
	outcome, err := c.post(within, t, body, s.repeats())
	if outcome != Accepted && stopped.Err() != nil {
		return abandoned, err
	}
	if s == SendReady && c.trial && outcome == Unreachable && unopened(err) && !c.registration.accepted {
		return nobody, fmt.Errorf("%w: %w", ErrTrialNobody, err)
	}
	c.o.Attempted(outcome)
	return outcome, err
}

// logFailure writes each failed attempt of the first registration. Later ones, which may go on for as long as an
// orchestrator is away, are written ever more rarely: the 1st, 2nd, 4th, 8th …
func (c *Client) logFailure(ctx context.Context, s Step, o Outcome, err error) {
	if o == Accepted || o == abandoned || o == nobody || o == unfit {
		return
	}
	if c.registration.accepted && bits.OnesCount(uint(c.attempts)) > 1 {
		return
	}
	message, key, shown := "callback attempt failed", "callback_url", c.registers.shown
	switch s {
	case SendBeat:
		message, key, shown = "heartbeat failed", "outcome", string(o) // the error names the address
	case SendDraining, SendDrained:
		message, key, shown = "deregister attempt failed", "deregister_url", c.farewells.shown
	}
	retry := c.registration.next != GiveUp && c.registration.next != Leave && c.registration.next != Rest
	c.o.Log.WarnContext(ctx, message, key, shown, "attempt", c.attempts, "retry", retry, "error", err.Error())
}

// tell passes on a change of state. The way to the first registration is the caller's to log: it waits for it.
func (c *Client) tell() {
	from, to := c.moved, c.registration.State()
	if from == to {
		return
	}
	c.moved = to
	c.o.Moved(to)
	switch {
	case to == Lost && from == Registered:
		c.o.Log.Warn("registration", "from", from.String(), "to", to.String(), "error", c.failure)
	case from == Reregistering && to == Registered, to == Deregistering, to == Deregistered, from == Lost && to == Registered:
		c.o.Log.Info("registration", "from", from.String(), "to", to.String())
	}
}
