package inference

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"llorch/inference/sample"
	"llorch/inference/tokenize"
)

// sequence is one request on its way through the engine. The scheduler owns the
// first group of fields, the engine's loop the second.
type sequence struct {
	id     string
	ids    []int32 // the prompt's tokens, then the chosen ones
	prompt int     // how many of ids are the prompt
	salt   string  // prompts of different salts share nothing
	limit  int     // ids never gets longer
	done   int     // positions whose keys and values are in pages
	pages  []int32
	found  int // of done, positions that others have computed; foretold while it waits
	cached int // the same for the account: until the first token

	ctx         context.Context
	release     context.CancelFunc // frees ctx's timer
	params      sample.Params
	seen        map[int32]bool // the set behind params.Seen; nil without a penalty
	out         outbox
	text        *tokenize.Stream
	stop        *stopMatcher
	sent        int // token events
	preemptions int
	gone        bool      // it has left the engine, also where a step with its row is under way
	queued      time.Time // Generate
	started     time.Time // first step
	deadline    time.Time // zero = none
	asks        asks
	first       time.Time // first token chosen
}

// decoding reports whether the next row belongs to the decode phase: everything
// of the prompt is in the cache. After a preemption the tokens chosen before it
// are replayed as decode rows, by the kernels that made them.
func (q *sequence) decoding() bool { return q.done >= q.prompt }

// see notes an id for the repetition penalty.
func (q *sequence) see(id int32) {
	if q.seen == nil || q.seen[id] {
		return
	}
	q.seen[id] = true
	q.params.Seen = append(q.params.Seen, id)
}

// asks is what a sequence still asks of the device, told by the loop after
// every step and read by those who ask to be let in.
type asks struct {
	held, prefill, shared atomic.Int32
	begun                 atomic.Bool
}

func (q *sequence) tell() {
	q.asks.held.Store(int32(len(q.ids)))
	q.asks.prefill.Store(int32(max(q.prompt-max(q.done, q.found), 0)))
	q.asks.shared.Store(int32(q.found))
	q.asks.begun.Store(!q.started.IsZero())
}

func (q *sequence) load() load {
	held := int(q.asks.held.Load())
	return load{
		held: held, prefill: int(q.asks.prefill.Load()), shared: int(q.asks.shared.Load()),
		answer: q.limit - held, waits: !q.asks.begun.Load(), deadline: q.deadline,
	}
}

func (q *sequence) end(reason StopReason, matched string, now time.Time) Event {
	e := &End{Reason: reason, Matched: matched, TokensIn: q.prompt, TokensCached: q.cached, TokensOut: q.sent, Preemptions: q.preemptions}
	e.Queued, e.Decode = q.started.Sub(q.queued), now.Sub(q.started)
	if !q.first.IsZero() {
		e.Prefill = q.first.Sub(q.started)
	}
	return Event{End: e}
}

func without(list []*sequence, q *sequence) []*sequence {
	if i := slices.Index(list, q); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
