package inference

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"llorch/inference/backend"
	"llorch/inference/model"
	"llorch/inference/tokenize"
)

// Engine serves one model on one device. Generate, Stats, Fault, Drain and
// Close may be called from any goroutine; the device belongs to the loop.
type Engine struct {
	info    Info
	tok     tokenize.Tokenizer
	dev     backend.Device
	pipe    backend.Pipeliner // dev's ability, nil without it
	model   model.Model
	kv      []backend.KV
	regions []backend.Region // as they were when loading was over
	closers []func() error   // files and tokenizer, after the device
	eos     map[int32]bool

	sched    *scheduler // the loop's own; Generate looks up prompts in its pool
	books    sync.Mutex // held by the loop while it changes the pool, by others while they read it
	reviewed time.Time
	turns    [2]*turn  // the step asked for last, and the one before
	lastEnd  time.Time // of a step
	now      func() time.Time

	mu       sync.Mutex // protects the fields below
	inbox    []*sequence
	asides   []func() error // for the loop to run between steps; a device fault is latched
	inFlight map[string]bool
	line     []*sequence // all of those, by arrival
	refuse   error       // why Generate refuses; nil while it serves
	closing  bool

	admission admission
	loads     []load // reused

	wake     chan struct{} // room for one: something for the loop to see
	cut      atomic.Bool   // the loop is to end all sequences
	left     chan struct{} // room for one: a sequence has ended
	stopped  chan struct{} // closed when the loop has ended
	release  chan struct{} // closed when the device may be closed
	released chan error    // what closing it said
	faulted  chan struct{} // closed when a device fault is latched
	fault    error         // readable once faulted is closed
	onFault  func(error)   // Options.Faulted
	stats    counters
}

// counters are what Stats reads. The loop writes them once a step.
type counters struct {
	steps, stepsAhead, tokensIn, tokensOut, preemptions, completed, failed atomic.Uint64
	prefixQueries, prefixHits, evictions                                   atomic.Uint64
	running, inside, pagesFree, pagesCached, queuedTokens, queueWait       atomic.Int64
}

// reviewEvery is how often the requests that wait are looked through.
const reviewEvery = 50 * time.Millisecond

// Generate queues a request. The channel it returns is closed after the terminal
// event. A slow reader never stops the loop; one that stops reading must cancel
// ctx, or what it has not read is kept for it. Cancelling ctx ends the stream
// within one step; the cause decides how (ErrTimeout, else cancelled). The error
// is an *Error that wraps ErrTooLong, ErrBusy, ErrBusyTokens, ErrDeadlineUnmet,
// ErrDuplicate, ErrDraining, ErrClosed or the device fault.
func (e *Engine) Generate(ctx context.Context, r Request) (<-chan Event, error) {
	if err := e.refused(r); err != nil { // before the work of tokenizing
		return nil, err
	}
	ids, err := e.encode(r.Prompt)
	if err != nil {
		return nil, &Error{Code: CodeInvalidRequest, Field: "prompt", Err: err}
	}
	return e.submit(e.newSequence(ctx, r, ids))
}

// foretell notes how much of a prompt need not be computed, as things are.
func (e *Engine) foretell(q *sequence) {
	e.books.Lock()
	e.sched.foretellOne(q)
	e.books.Unlock()
	q.tell()
}

// submit queues a sequence unless the engine refuses by now.
func (e *Engine) submit(q *sequence) (<-chan Event, error) {
	e.foretell(q)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.refusal(q.id, q.load()); err != nil {
		q.release()
		return nil, err
	}
	e.inFlight[q.id] = true
	e.line = append(e.line, q)
	e.inbox = append(e.inbox, q)
	e.stats.inside.Add(1)
	signal(e.wake)
	return q.out.events, nil
}

// newSequence makes a sequence of a request whose prompt has the tokens ids.
func (e *Engine) newSequence(ctx context.Context, r Request, ids []int32) *sequence {
	q := &sequence{
		id: r.ID, ids: ids, prompt: len(ids), salt: r.CacheSalt, limit: len(ids) + min(max(r.MaxTokens, 1), e.info.Context-len(ids)),
		params: r.Sampling, text: e.tok.NewStreamAfter(ids), stop: newStopMatcher(r.Stop), queued: e.now(), deadline: r.Deadline,
	}
	if q.params.Penalizes() {
		q.seen = make(map[int32]bool, len(ids))
		for _, id := range ids {
			q.see(id)
		}
	}
	q.out = newOutbox()
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
	defer close(e.stopped)
	var t *turn // under way, or nil
	for e.admit(t == nil) {
		if t == nil {
			e.books.Lock()
			step := e.sched.next()
			e.books.Unlock()
			e.publish() // a first step may be long, and who asks meanwhile must see its slots taken
			t = e.begin(step)
		}
		next := e.follow(t)
		if next != nil && backend.IsFault(next.err) {
			t = next // no token comes after it
		}
		if !e.end(t) {
			return
		}
		t = next
	}
}

// learn notes how long a step took and what it left to do.
func (e *Engine) learn(step []work, took time.Duration) {
	prompts, decodes := 0, 0
	for _, w := range step {
		rows := w.to - w.from
		if w.decode { // rows beyond one are a replay, which costs as a prefill does
			decodes++
			rows--
		}
		prompts += rows
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range step {
		w.seq.tell()
	}
	e.admission.pace.stepped(took, prompts, decodes)
}

// admit takes arrivals in and cancelled requests out. It returns false when the engine
// closes or has no device any more. While no step is under way it runs asides, too, and
// sleeps until there is something to do.
func (e *Engine) admit(between bool) bool {
	for {
		e.mu.Lock()
		arrived, closing := e.inbox, e.closing
		e.inbox = nil
		var asides []func() error
		if between {
			asides, e.asides = e.asides, nil
		}
		late := e.review()
		e.mu.Unlock()
		for _, aside := range asides {
			if err := aside(); backend.IsFault(err) {
				e.latch(err)
				return false
			}
		}
		for _, q := range arrived {
			e.sched.add(q)
		}
		for _, q := range late {
			e.fail(q, &Error{Code: CodeTimeout, Retriable: true, Err: ErrDeadlineUnmet})
		}
		e.sweep(closing || e.cut.Load())
		e.publish()
		if closing {
			return false
		}
		if !between || !e.sched.idle() {
			return true
		}
		<-e.wake
	}
}

// review looks, now and then, who waits in vain, and how long a newcomer would
// wait. e.mu is held.
func (e *Engine) review() (late []*sequence) {
	now := e.now()
	if len(e.line) > 0 && now.Sub(e.reviewed) < reviewEvery {
		return nil
	}
	e.reviewed = now
	e.sched.foretell()
	line := e.lineup()
	for _, i := range e.admission.late(now, line) {
		late = append(late, e.line[i])
	}
	wait, tokens := e.admission.line(line, nil)
	e.admission.wait = wait
	e.stats.queueWait.Store(int64(wait))
	e.stats.queuedTokens.Store(int64(tokens))
	return late
}

// sweep ends the sequences whose caller has gone or whose time is up, or all.
func (e *Engine) sweep(all bool) {
	e.sched.each(func(q *sequence) {
		q.out.flush()
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
	e.stats.pagesCached.Store(int64(e.sched.pool.Published()))
	e.stats.evictions.Store(e.sched.pool.Evictions())
	e.stats.prefixQueries.Store(e.sched.prefixes.queries)
	e.stats.prefixHits.Store(e.sched.prefixes.hits)
}

// signal wakes a waiter without ever blocking.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
