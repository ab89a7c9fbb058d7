package inference

import (
	"slices"

	"llorch/inference/backend"
	"llorch/inference/kvcache"
)

// scheduler decides who runs in the next step and with how many tokens. It is
// plain bookkeeping: no device, clock or goroutine.
//
// Sequences are served in the order they came. Each running one that decodes
// has a row in every step; what is left of the step's budget goes to prefills,
// cut at multiples of backend.ChunkQuantum. When pages run out, the newest
// running sequence gives its pages back and waits at the head of the queue.
type scheduler struct {
	pool     *kvcache.Pool
	prefixes prefixes
	maxBatch int // sequences that run at once
	chunk    int // prefill rows of a step
	mixed    int // the same while others decode: their pace is worth more than the prefill's
	waiting  []*sequence
	running  []*sequence // by arrival
	step     []work      // reused
}

// headroom is how many positions each running sequence may grow by when another
// is let in.
const headroom = 64

// work is one sequence's share of a step: positions [from, to).
type work struct {
	seq      *sequence
	from, to int
	decode   bool
	fed      int // its one row has the choice of logits row fed-1 of the step before; 0: tokens are known
}

// samples reports whether the step yields a new token for the sequence.
func (w work) samples() bool { return w.fed > 0 || w.to == len(w.seq.ids) }

// token is what the row of position p has in a batch.
func (w work) token(p int) int32 {
	if w.fed > 0 {
		return backend.Chosen(w.fed - 1)
	}
	return w.seq.ids[p]
}

func (s *scheduler) add(q *sequence) { s.waiting = append(s.waiting, q) }

func (s *scheduler) idle() bool { return len(s.waiting)+len(s.running) == 0 }

// each calls f for every sequence, last first: f may remove it.
func (s *scheduler) each(f func(q *sequence)) {
	for _, list := range [][]*sequence{s.waiting, s.running} {
		for i := len(list) - 1; i >= 0; i-- {
			f(list[i])
		}
	}
}

// remove forgets a sequence and frees its pages.
func (s *scheduler) remove(q *sequence) {
	q.pages = s.pool.Release(q.pages)
	s.running, s.waiting = without(s.running, q), without(s.waiting, q)
}

// next returns the work of one step, decode rows first. It is valid until the
// next call.
func (s *scheduler) next() []work {
	s.admit()
	s.step = s.step[:0]
	budget := s.decodes()
	for _, q := range s.running {
		if q.decoding() {
			continue
		}
		s.take(q, s.find(q)) // what others have computed since
		n := min(q.prompt-q.done, budget)
		to := q.done + n
		if to < q.prompt {
			to -= to % backend.ChunkQuantum
		}
		if to > q.done {
			s.step = append(s.step, work{seq: q, from: q.done, to: to})
			budget -= to - q.done
		}
	}
	return s.step
}

// admit lets waiting sequences run while there are slots and pages for all of
// their tokens, and some to grow into for each that runs already. Pages with
// the beginning of a prompt cost nothing where somebody holds them.
func (s *scheduler) admit() {
	for len(s.waiting) > 0 {
		q := s.waiting[0]
		found, ok := s.fits(q)
		if !ok {
			return
		}
		s.begin(q, found)
		q.pages, _ = s.pool.Grow(q.pages, len(q.ids))
		s.waiting = slices.Delete(s.waiting, 0, 1)
		s.running = append(s.running, q)
	}
}

// fits tells whether a sequence may run now, and which pages of others it begins with.
func (s *scheduler) fits(q *sequence) (found []int32, ok bool) {
	if len(s.running) >= s.maxBatch {
		return nil, false
	}
	found = s.find(q)
	reserve := s.pool.Need(0, headroom)
	return found, s.pool.Need(len(found), len(q.ids))+s.pool.Idle(found)+len(s.running)*reserve <= s.pool.Free()
}

// follow returns the work of the step behind one that is under way: a row for each of its
// sequences, fed by that step's choice, but for those that end with it for sure. It returns
// none where the step behind is to do something else, or wants pages that are not free. It
// is valid until the next call.
func (s *scheduler) follow(step []work) []work {
	s.step = s.step[:0]
	inside, logits := 0, 0
	for _, w := range step {
		samples := w.samples()
		if samples {
			logits++
		}
		if w.seq.gone {
			continue
		}
		if !samples {
			return nil // its prompt goes on
		}
		inside++
		if w.to+1 >= w.seq.limit {
			continue
		}
		grown, ok := s.pool.Grow(w.seq.pages, w.to+1)
		if w.seq.pages = grown; !ok {
			return nil
		}
		s.step = append(s.step, work{seq: w.seq, from: w.to, to: w.to + 1, decode: true, fed: logits})
	}
	if inside < len(s.running) {
		return nil
	}
	if len(s.waiting) > 0 {
		if _, ok := s.fits(s.waiting[0]); ok {
			return nil
		}
	}
	return s.step
}

// decodes gives every decoding sequence its rows and returns the budget that is
// left for prefills. One row each is always granted; more are a replay after a
// preemption, and count as prefill.
func (s *scheduler) decodes() int {
	budget := s.chunk
	for i := 0; i < len(s.running); i++ {
		q := s.running[i]
		if !q.decoding() {
			continue
		}
		for {
			grown, ok := s.pool.Grow(q.pages, len(q.ids))
			if q.pages = grown; ok {
				break
			}
			if s.preempt() == q {
				return budget // q was the newest: nobody comes after it
			}
		}
		rows := 1 + min(len(q.ids)-q.done-1, max(budget, 0))
		s.step = append(s.step, work{seq: q, from: q.done, to: q.done + rows, decode: true})
		budget = min(budget, s.mixed) - (rows - 1)
	}
	return max(budget, 0)
}

// preempt takes the pages of the newest running sequence. It has no work in
// this step yet, because work is given out by arrival.
func (s *scheduler) preempt() *sequence {
	q := s.running[len(s.running)-1]
	s.running = s.running[:len(s.running)-1]
	q.pages, q.done, q.found = s.pool.Release(q.pages), 0, 0
	q.preemptions++
	q.tell()
	s.waiting = slices.Insert(s.waiting, 0, q)
	return q
}

// commit notes that a step has run without an error.
func (s *scheduler) commit(step []work) {
	for _, w := range step {
		w.seq.done = w.to
		s.publish(w)
	}
}
