package inference

import (
	"errors"
	"time"

	"llorch/inference/backend"
	"llorch/inference/sample"
)

// emit hands out the tokens of the step that has just run.
func (e *Engine) emit(in *stepInput) {
	now := e.now()
	for i, q := range in.sampling {
		if q.gone {
			continue
		}
		if id := in.ids[i]; id < 0 {
			e.distrust(q)
			e.fail(q, &Error{Code: CodeInferenceFailed, Retriable: true, Err: sample.ErrNotFinite})
		} else {
			e.token(q, id, now)
		}
	}
}

// token sends the event of one chosen token, and the terminal event if it is
// the last. Every token has its own event, also while its text is withheld;
// the end-of-text token has one only if it sets withheld text free.
func (e *Engine) token(q *sequence, id int32, now time.Time) {
	if q.first.IsZero() {
		q.first = now
		e.stats.tokensIn.Add(uint64(q.prompt))
	}
	q.ids = append(q.ids, id)
	q.see(id)
	reason, text, matched := StopReason(""), "", ""
	if e.eos[id] {
		reason = StopEOS
	} else {
		if text, matched = q.stop.push(q.text.Push(id)); matched != "" {
			reason = StopSequence
		} else if len(q.ids) >= q.limit {
			reason = StopMaxTokens
		}
	}
	if reason == StopEOS || reason == StopMaxTokens {
		rest, found := q.stop.push(q.text.Flush())
		if text += rest; found != "" {
			reason, matched = StopSequence, found
		} else {
			text += q.stop.flush()
		}
	}
	if text != "" || !e.eos[id] {
		q.out.send(Event{Text: text, Index: q.sent, ID: id, At: now})
		q.sent++
		e.stats.tokensOut.Add(1)
	}
	if reason != "" {
		e.stats.completed.Add(1)
		e.leave(q, q.end(reason, matched, now))
	}
}

// leave takes a sequence out of the engine, frees its pages and sends its
// terminal event, in that order: who sees the end may count on the room.
func (e *Engine) leave(q *sequence, ev Event) {
	q.gone = true
	e.books.Lock()
	e.sched.remove(q)
	e.books.Unlock()
	e.stats.preemptions.Add(uint64(q.preemptions))
	e.mu.Lock()
	delete(e.inFlight, q.id)
	e.line = without(e.line, q)
	if ev.End != nil {
		e.admission.pace.answered(len(q.ids)-q.prompt, q.limit-q.prompt)
	}
	e.mu.Unlock()
	e.stats.inside.Add(-1)
	e.publish()
	ev.At = e.now()
	q.out.finish(q.ctx, ev, q.release)
	signal(e.left)
}

func (e *Engine) fail(q *sequence, err *Error) {
	e.stats.failed.Add(1)
	e.leave(q, Event{Err: err})
}

// distrust lets nobody begin with what a sequence has computed or begun with.
func (e *Engine) distrust(q *sequence) {
	e.books.Lock()
	e.sched.distrust(q)
	e.books.Unlock()
}

// failStep ends the sequences of a step that failed without a device fault.
func (e *Engine) failStep(step []work, err error) {
	var typed *Error
	if !errors.As(err, &typed) {
		typed = &Error{Code: CodeInferenceFailed, Retriable: true, Err: err}
		if errors.Is(err, backend.ErrMemory) { // what it took is free again, and another worker may have more
			typed.Code = CodeOutOfMemory
		}
	}
	for _, w := range step {
		e.fail(w.seq, typed)
	}
}

// latch ends everything after a device fault: no token ever follows one. Who
// owns the process's state hears of it before any stream does: whoever has read
// the end of one must not find a worker that calls itself healthy.
func (e *Engine) latch(err error) {
	e.mu.Lock()
	e.refuse = err
	for _, q := range e.inbox {
		e.sched.add(q)
	}
	e.inbox = nil
	e.mu.Unlock()
	e.fault = err
	close(e.faulted)
	if e.onFault != nil {
		e.onFault(err)
	}
	e.sched.each(func(q *sequence) {
		e.fail(q, &Error{Code: CodeUnhealthy, Retriable: true, Err: err})
	})
}
