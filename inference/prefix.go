package inference

import (
	"llorch/inference/backend"
	"llorch/inference/kvcache"
)

// PrefixCache says whether prompts that begin alike are computed once.
type PrefixCache string

const (
	PrefixCacheOn  PrefixCache = "on"
	PrefixCacheOff PrefixCache = "off"
)

// prefixes is the scheduler's side of the prefix cache: which pages of the pool
// a prompt may begin with, and which it leaves to others.
//
// A page is left to others once a step of the prefill phase has filled it and
// has not failed. Pages with rows of the decode phase are not, though they hold
// the same tokens as a prompt may: the two phases use kernels of their own, and
// a text must not depend on who has computed its prompt's pages.
type prefixes struct {
	off           bool
	queries, hits uint64 // prompt tokens that were looked up, and those that were found
}

// find returns the pages with which a sequence may go on after those that it
// has done. The last token of a prompt is always computed, because the answer's
// first is chosen from its row. A prefill goes on at multiples of ChunkQuantum
// only, so that its rows have the numbers that they would have if it had begun
// at 0.
func (s *scheduler) find(q *sequence) []int32 {
	size := s.pool.PageSize()
	if s.prefixes.off || q.done%size != 0 || q.done >= q.prompt {
		return nil
	}
	found := s.pool.Find(q.pages[:q.done/size], kvcache.Text{Salt: q.salt, IDs: q.ids[:q.prompt-1]})
	end := q.done + len(found)*size
	end -= end % backend.ChunkQuantum
	return found[:max(end-q.done, 0)/size]
}

// begin lets a sequence start with the pages found.
func (s *scheduler) begin(q *sequence, found []int32) {
	if q.preemptions == 0 && !s.prefixes.off {
		s.prefixes.queries += uint64(q.prompt)
	}
	q.found = 0
	s.take(q, found)
}

// take makes found pages the next ones of a sequence: it has done them.
func (s *scheduler) take(q *sequence, found []int32) {
	size := s.pool.PageSize()
	q.pages = s.pool.Share(q.pages, q.done/size, found)
	n := len(found) * size
	q.done += n
	q.found += n
	if q.preemptions == 0 {
		q.cached += n
		s.prefixes.hits += uint64(n)
	}
}

// publish leaves the pages that a step of the prefill phase has filled to others.
func (s *scheduler) publish(w work) {
	if s.prefixes.off || w.decode {
		return
	}
	s.pool.Publish(w.seq.pages, w.from/s.pool.PageSize(), kvcache.Text{Salt: w.seq.salt, IDs: w.seq.ids[:w.to]})
}

// distrust takes the pages that begin as those of a sequence back: its numbers
// were not finite, and what it has computed, or found, may be why.
func (s *scheduler) distrust(q *sequence) { s.pool.Forget(q.pages) }

// foretell notes how much of the prompts that wait would be found now.
func (s *scheduler) foretell() {
	for _, q := range s.waiting {
		s.foretellOne(q)
		q.tell()
	}
}

func (s *scheduler) foretellOne(q *sequence) { q.found = len(s.find(q)) * s.pool.PageSize() }
