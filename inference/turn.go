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

// ended is when a step ended, of how many rows it was, and how long the next one of as many is
// foreseen to take.
type ended struct {
	at      time.Time
	rows    int
	foresee time.Duration
}

// soon is what waiting for a step takes that had ended before.
const soon = 50 * time.Microsecond

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

// foresight is how long before the foreseen end of a step the next one begins, at least: enough for
// the launch. Who comes before that needs not wait for both.
const foresight = 500 * time.Microsecond

// follow begins the step after one that is under way, shortly before that ends, where it can
// be foreseen and nobody waits for the time between two steps; else it returns nil.
func (e *Engine) follow(t *turn) *turn {
	if !t.begun || !e.calm(t) {
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

// calm looks out for whoever waits for the loop, until shortly before a step ends, as long as
// the last one of as many rows took, and tells whether nobody does.
func (e *Engine) calm(t *turn) bool {
	until := later(t.began, e.last.at)
	if t.rows() == e.last.rows {
		until = until.Add(e.last.foresee - max(foresight, e.last.foresee/16))
	}
	for {
		if e.beckoned() {
			return false
		}
		left := until.Sub(e.now())
		if left <= 0 {
			return true
		}
		timer := time.NewTimer(left)
		select {
		case <-e.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (t *turn) rows() int { return t.input.batch.Rows() }

// beckoned tells whether somebody waits for the loop.
func (e *Engine) beckoned() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.inbox)+len(e.asides) > 0 || e.closing || e.cut.Load()
}

// end waits for a step and hands out its tokens. It returns false after a device fault.
// Sequences that have left meanwhile get nothing of it.
func (e *Engine) end(t *turn) bool {
	asked := e.now()
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
	took := now.Sub(later(t.began, e.last.at))
	e.last = ended{at: now, rows: t.rows(), foresee: took}
	if now.Sub(asked) < soon {
		e.last.foresee = took * 3 / 4 // it had ended nobody knows when
	}
	e.emit(&t.input)
	e.learn(t.work, took)
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
