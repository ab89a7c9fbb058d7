package inference

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"llorch/inference/backend"
	"llorch/inference/model"
	"llorch/inference/sample"
	"llorch/inference/tokenize"
)

// Engine serves one model on one device. Generate, Stats, Fault, Drain and
// Close may be called from any goroutine; the device belongs to the loop.
type Engine struct {
	info    Info
	tok     tokenize.Tokenizer
	dev     backend.Device
	model   model.Model
	kv      []backend.KV
	regions []backend.Region // as they were when loading was over
	closers []func() error   // files and tokenizer, after the device
	eos     map[int32]bool

	sched *scheduler // the loop's own
	input stepInput

	mu       sync.Mutex // protects the fields below
	inbox    []*sequence
	inFlight map[string]bool
	refuse   error // why Generate refuses; nil while it serves
	closing  bool

	wake    chan struct{} // room for one: something for the loop to see
	cut     atomic.Bool   // the loop is to end all sequences
	left    chan struct{} // room for one: a sequence has ended
	stopped chan struct{} // closed when the loop has ended
	faulted chan struct{} // closed when a device fault is latched
	fault   error         // readable once faulted is closed
	stats   counters
}

// counters are what Stats reads. The loop writes them once a step.
type counters struct {
	steps, tokensIn, tokensOut, preemptions, completed, failed atomic.Uint64
	running, inside, pagesFree                                 atomic.Int64
}

// Generate queues a request. The channel it returns has room for all events of
// the request and is closed after the terminal one, so that a slow reader never
// stops the loop. Cancelling ctx ends the stream within one step; the cause
// decides how (ErrTimeout, else cancelled). The error is an *Error that wraps
// ErrTooLong, ErrBusy, ErrDuplicate, ErrDraining, ErrClosed or the device fault.
func (e *Engine) Generate(ctx context.Context, r Request) (<-chan Event, error) {
	if err := e.refused(r.ID); err != nil { // before the work of tokenizing
		return nil, err
	}
	ids, err := e.encode(r.Prompt)
	if err != nil {
		return nil, &Error{Code: CodeInvalidRequest, Field: "prompt", Err: err}
	}
	return e.submit(e.newSequence(ctx, r, ids))
}

// submit queues a sequence unless the engine refuses by now.
func (e *Engine) submit(q *sequence) (<-chan Event, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.refusal(q.id); err != nil {
		q.release()
		return nil, err
	}
	e.inFlight[q.id] = true
	e.inbox = append(e.inbox, q)
	e.stats.inside.Add(1)
	signal(e.wake)
	return q.events, nil
}

func (e *Engine) refused(id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refusal(id)
}

// refusal is why a request of this id cannot be taken now. e.mu is held.
func (e *Engine) refusal(id string) error {
	switch {
	case e.refuse != nil:
		return &Error{Code: CodeUnhealthy, Retriable: true, Err: e.refuse}
	case e.inFlight[id]:
		return &Error{Code: CodeInvalidRequest, Field: "job_id", Err: ErrDuplicate}
	case len(e.inFlight) >= e.info.MaxBatch+e.info.MaxQueue:
		return &Error{Code: CodeUnhealthy, Retriable: true, Err: ErrBusy}
	}
	return nil
}

// newSequence makes a sequence of a request whose prompt has the tokens ids.
func (e *Engine) newSequence(ctx context.Context, r Request, ids []int32) *sequence {
	q := &sequence{
		id: r.ID, ids: ids, prompt: len(ids), limit: len(ids) + min(max(r.MaxTokens, 1), e.info.Context-len(ids)),
		params: r.Sampling, text: e.tok.NewStreamAfter(ids), stop: newStopMatcher(r.Stop), queued: time.Now(),
	}
	if q.params.Penalizes() {
		q.seen = make(map[int32]bool, len(ids))
		for _, id := range ids {
			q.see(id)
		}
	}
	q.events = make(chan Event, q.limit-q.prompt+1)
	q.ctx, q.release = ctx, func() {}
	if !r.Deadline.IsZero() {
		q.ctx, q.release = context.WithDeadlineCause(ctx, r.Deadline, ErrTimeout)
	}
	return q
}

// encode returns the tokens of a prompt; there is at least one, they fit the
// context with room for an answer, and the model knows each of them.
func (e *Engine) encode(prompt string) ([]int32, error) {
	ids, err := e.tok.Encode(prompt)
	switch {
	case errors.Is(err, tokenize.ErrTooLong):
		return nil, fmt.Errorf("%w: %w", ErrTooLong, err)
	case err != nil:
		return nil, err
	case len(ids) == 0:
		return nil, errors.New("the prompt has no tokens")
	case len(ids) > e.info.MaxPrompt:
		return nil, fmt.Errorf("%w: %d tokens, at most %d are taken (the context is %d)", ErrTooLong, len(ids), e.info.MaxPrompt, e.info.Context)
	}
	for _, id := range ids {
		if int(id) >= e.info.Vocab {
			return nil, fmt.Errorf("the tokenizer gives id %d, the model knows %d ids", id, e.info.Vocab)
		}
	}
	return ids, nil
}

// loop is the only goroutine that touches the device.
func (e *Engine) loop() {
	runtime.LockOSThread()
	defer close(e.stopped)
	for e.admit() {
		step := e.sched.next()
		e.publish() // a first step may be long, and who asks meanwhile must see its slots taken
		now := time.Now()
		for _, w := range step {
			if w.seq.started.IsZero() {
				w.seq.started = now
			}
		}
		err := e.run(step)
		e.stats.steps.Add(1)
		if backend.IsFault(err) {
			e.latch(err)
			return
		}
		if err != nil {
			e.failStep(step, err)
			continue
		}
		e.sched.commit(step)
		e.emit()
		e.publish()
	}
}

// run computes a step: logits, and the next token of each row that wants one.
func (e *Engine) run(step []work) error {
	b := e.input.fill(step)
	logits := e.model.Forward(b, e.kv)
	if len(e.input.params) > 0 {
		e.dev.Sample(e.input.ids, logits, e.input.params)
	}
	err := e.dev.Sync()
	if errors.Is(err, sample.ErrNotFinite) {
		return nil // those rows have the id −1, and their neighbours are right
	}
	return err
}

// admit takes arrivals in and cancelled requests out. It sleeps while there is
// nothing to do and returns false when the engine closes.
func (e *Engine) admit() bool {
	for {
		e.mu.Lock()
		arrived, closing := e.inbox, e.closing
		e.inbox = nil
		e.mu.Unlock()
		for _, q := range arrived {
			e.sched.add(q)
		}
		e.sweep(closing || e.cut.Load())
		e.publish()
		if closing {
			return false
		}
		if !e.sched.idle() {
			return true
		}
		<-e.wake
	}
}

// sweep ends the sequences whose caller has gone or whose time is up, or all.
func (e *Engine) sweep(all bool) {
	e.sched.each(func(q *sequence) {
		if q.ctx.Err() != nil {
			e.fail(q, cancelled(context.Cause(q.ctx)))
		} else if all {
			e.fail(q, cancelled(ErrDraining))
		}
	})
}

func cancelled(cause error) *Error {
	if errors.Is(cause, ErrTimeout) || errors.Is(cause, context.DeadlineExceeded) {
		return &Error{Code: CodeTimeout, Retriable: true, Err: ErrTimeout}
	}
	return &Error{Code: CodeCancelled, Err: cause}
}

// publish writes what Stats reads.
func (e *Engine) publish() {
	e.stats.running.Store(int64(len(e.sched.running)))
	e.stats.pagesFree.Store(int64(e.sched.pool.Free()))
}

// signal wakes a waiter without ever blocking.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
