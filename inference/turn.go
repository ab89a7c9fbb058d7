package inference

import (
	"errors"
	"slices"
	"time"

	"llorch/inference/backend"
	"llorch/inference/sample"
)

// turn is one step, from when it is asked of the device to when its tokens are handed
// out. Where the device takes steps ahead, the next one has begun by then: its rows feed
// on the choices of this one.
type turn struct {
	work  []work
	input stepInput
	began time.Time
	begun bool  // it is under way; else it has ended, with err
	err   error // of the step, or of its launch
}

// begin asks the device for a step.
func (e *Engine) begin(step []work) *turn {
	e.turns[0], e.turns[1] = e.turns[1], e.turns[0] // the other one may be under way
	t := e.turns[0]
	t.work, t.began = append(t.work[:0], step...), e.now()
	for _, w := range step {
		if w.seq.started.IsZero() {
			w.seq.started = t.began
		}
	}
	e.ask(t, e.kv)
	if t.begun = e.pipe != nil && e.pipe.Chooses(e.info.Vocab, t.input.params); !t.begun {
		t.err = numbers(e.dev.Sync())
		return t
	}
	t.err = e.pipe.Begin()
	t.begun = t.err == nil
	return t
}

// follow begins the step after one that is under way, where that can be foreseen and nobody
// waits for the time between two steps; else it returns nil.
//
// It begins at once, so who comes during a step waits for that and the next. To begin only half a
// millisecond before the foreseen end let them in sooner, but Go's timers are up to a
// millisecond late: eight sequences of a 1.1B model on an H200 fell from 8222 to 3431 tok/s.
func (e *Engine) follow(t *turn) *turn {
	if !t.begun || e.beckoned() {
		return nil
	}
	e.books.Lock()
	step := e.sched.follow(t.work)
	e.books.Unlock()
	if len(step) == 0 {
		return nil
	}
	e.stats.stepsAhead.Add(1)
	return e.begin(step)
}

// beckoned tells whether somebody waits for the loop.
func (e *Engine) beckoned() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.inbox)+len(e.asides) > 0 || e.closing || e.cut.Load()
}

// end waits for a step and hands out its tokens. It returns false after a device fault.
// Sequences that have left meanwhile get nothing of it.
func (e *Engine) end(t *turn) bool {
	if t.begun {
		t.err = numbers(e.pipe.Await())
	}
	now := e.now()
	e.stats.steps.Add(1)
	if backend.IsFault(t.err) {
		e.latch(t.err)
		return false
	}
	t.work = slices.DeleteFunc(t.work, func(w work) bool { return w.seq.gone })
	if t.err != nil {
		e.failStep(t.work, t.err)
		return true
	}
	e.books.Lock()
	e.sched.commit(t.work)
	e.books.Unlock()
	e.emit(&t.input)
	e.learn(t.work, now.Sub(later(t.began, e.lastEnd)))
	e.lastEnd = now
	e.publish()
	return true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ask asks for logits, and the next token of each row that wants one. A kv of fewer
// layers than the model has goes through so many alone.
func (e *Engine) ask(t *turn, kv []backend.KV) {
	logits := e.model.Forward(t.input.fill(t.work), kv)
	if len(t.input.params) > 0 {
		e.dev.Sample(t.input.ids, logits, t.input.params)
	}
}

// numbers is err but for rows without an honest choice: they have the id −1, and their
// neighbours are right.
func numbers(err error) error {
	if errors.Is(err, sample.ErrNotFinite) {
		return nil
	}
	return err
}
