package inference

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"llorch/inference/backend"
	"llorch/inference/kvcache"
)

// memory is what lies in the pages, as a naive model: each position holds all
// of what its numbers depend on, the text before it and the phase of each row.
type memory struct {
	pageSize int
	at       [][]string // by page and position in it
}

func newMemory(pages, pageSize int) *memory {
	m := &memory{pageSize: pageSize, at: make([][]string, pages)}
	for i := range m.at {
		m.at[i] = make([]string, pageSize)
	}
	return m
}

// history is what a sequence's positions must hold if nothing is ever shared, and those of
// tokens that it will have.
func history(q *sequence, more ...int32) []string {
	ids := slices.Concat(q.ids, more)
	all, h := q.salt+"|", make([]string, len(ids))
	for p, id := range ids {
		all += string(rune('a' + id))
		if p >= q.prompt {
			all += "'" // by the kernels of the decode phase
		}
		h[p] = all
	}
	return h
}

func (m *memory) place(q *sequence, p int) *string {
	return &m.at[q.pages[p/m.pageSize]][p%m.pageSize]
}

// write does what a device does in a step. Nobody may write to a page that
// others hold, or that others may yet find.
func (m *memory) write(t *rapid.T, s *scheduler, work []work) {
	holders := map[int32]int{}
	for _, q := range s.running {
		for _, page := range q.pages {
			holders[page]++
		}
	}
	for _, w := range work {
		h := history(w.seq, 1) // the token that a step ahead is fed with
		for p := w.from; p < w.to; p++ {
			if page := w.seq.pages[p/m.pageSize]; holders[page] != 1 || s.pool.IsPublished(page) {
				t.Fatalf("position %d is written to page %d, which %d hold, published %v", p, page, holders[page], s.pool.IsPublished(page))
			}
			*m.place(w.seq, p) = h[p]
		}
	}
}

// spoil leaves in the pages of a failed step what a failed step leaves.
func (m *memory) spoil(work []work) {
	for _, w := range work {
		for p := w.from; p < w.to; p++ {
			*m.place(w.seq, p) = "spoilt"
		}
	}
}

// check compares what each sequence has done with what it would have computed
// alone.
func (m *memory) check(t *rapid.T, s *scheduler) {
	for _, q := range s.running {
		h := history(q)
		for p := range q.done {
			if got := *m.place(q, p); got != h[p] {
				t.Fatalf("position %d of %s holds %q, not %q", p, q.id, got, h[p])
			}
		}
	}
}

// drawPrompt draws one of few prompts, so that many begin alike.
func drawPrompt(t *rapid.T, n int) []int32 {
	ids := make([]int32, n)
	for at := 0; at < n; at += 48 {
		ids[at] = rapid.SampledFrom([]int32{0, 0, 0, 1}).Draw(t, "id")
	}
	return ids
}

// twins are two sequences of one prompt and a scheduler with room for both.
func twins(prompt int) (s *scheduler, one, two *sequence) {
	s = &scheduler{pool: kvcache.NewPool(64, PageSize), maxBatch: 8, chunk: 512, mixed: 128}
	return s, seqOf(prompt), seqOf(prompt)
}

// run runs a step and returns the rows of each sequence in it.
func (s *scheduler) run() map[*sequence]int {
	rows := map[*sequence]int{}
	work := s.next()
	s.commit(work)
	for _, w := range work {
		rows[w.seq] += w.to - w.from
		if w.samples() {
			w.seq.ids = append(w.seq.ids, 1)
		}
	}
	return rows
}

// A prompt that was computed before costs one quantum at most: of 500 tokens,
// 20 rows and not 500.
func TestPromptIsComputedOnce(t *testing.T) {
	s, one, two := twins(500)
	s.add(one)
	if rows := s.run(); rows[one] != 500 {
		t.Fatalf("%d rows of a new prompt", rows[one])
	}
	s.remove(one)
	s.foretellOne(two)
	two.tell()
	if l := two.load(); l.prefill != 500-480 || l.shared != 480 {
		t.Errorf("it is foretold that %d tokens are computed, %d shared", l.prefill, l.shared)
	}
	s.add(two)
	if rows := s.run(); rows[two] != 500-480 || two.cached != 480 {
		t.Errorf("%d rows of a known prompt, %d tokens are said to be cached", rows[two], two.cached)
	}
	if p := s.prefixes; p.queries != 1000 || p.hits != 480 {
		t.Errorf("%d of %d tokens were found", p.hits, p.queries)
	}
}

// The last token of a prompt is always computed, also where a page ends with it.
func TestLastTokenIsComputed(t *testing.T) {
	s, one, two := twins(2 * PageSize)
	s.add(one)
	s.run()
	s.add(two)
	if rows := s.run(); rows[one] != 1 || rows[two] != PageSize || len(two.ids) != two.prompt+1 {
		t.Errorf("%d rows, then %d tokens", rows[two], len(two.ids)-two.prompt)
	}
	if one.pages[1] != two.pages[1] {
		t.Error("the page that both have computed is kept twice")
	}
}

// Who waits beside a prompt that is being computed takes what is done of it in
// each step, though it was let in before.
func TestBurstIsComputedOnce(t *testing.T) {
	s, one, two := twins(1500)
	s.add(one)
	s.add(two)
	total := 0
	for !one.decoding() || !two.decoding() {
		for q, rows := range s.run() {
			if len(q.ids) <= q.prompt+1 {
				total += rows
			}
		}
	}
	if total > 1500+512 {
		t.Errorf("%d rows for a prompt of 1500 tokens, twice", total)
	}
}

// Pages with rows of the decode phase serve no prompt, whatever their tokens.
func TestAnswersAreNotShared(t *testing.T) {
	s, one, _ := twins(100)
	s.add(one)
	for len(one.ids) < 300 {
		s.run()
	}
	s.remove(one)
	again := &sequence{ids: append([]int32(nil), one.ids...), prompt: len(one.ids), limit: 1000}
	s.add(again)
	if rows := s.run(); rows[again] != 300-96 {
		t.Errorf("%d rows of a prompt of 300 tokens, of which 96 were a prompt before", rows[again])
	}
}

// A preempted sequence begins with its own prompt's pages where they are still
// there, and the counters do not count it twice.
func TestPreemptedFindsItsPrompt(t *testing.T) {
	s, one, _ := twins(300)
	s.add(one)
	for len(one.ids) < 310 {
		s.run()
	}
	s.preempt()
	if rows := s.run(); rows[one] != 300-288 || one.done != 300 {
		t.Errorf("%d rows, %d done", rows[one], one.done)
	}
	if p := s.prefixes; p.queries != 300 || p.hits != 0 || one.cached != 0 {
		t.Errorf("counted %d of %d, cached %d", p.hits, p.queries, one.cached)
	}
	if rows := s.run(); rows[one] != 10 {
		t.Errorf("%d rows of the replay", rows[one])
	}
}

// A step that fails leaves nothing to others, nor does a prompt whose numbers
// are not finite.
func TestNothingIsLeftOfFailures(t *testing.T) {
	s, one, two := twins(300)
	s.add(one)
	s.next()
	s.remove(one) // as after an error: no commit
	if n := s.pool.Published(); n != 0 {
		t.Errorf("%d pages of a failed step are published", n)
	}
	s.add(two)
	s.run()
	before := s.pool.Published()
	s.distrust(two)
	s.remove(two)
	if n := s.pool.Published(); before != 300/PageSize || n != 0 || s.pool.Free() != s.pool.Total() {
		t.Errorf("%d pages are published of %d that may not be trusted", n, before)
	}
}

// Pages that nobody holds are free until they are found: then they are not free
// for the rest of the prompt.
func TestFoundPagesAreNotFree(t *testing.T) {
	s, one, two := twins(2*PageSize + 1)
	s.pool = kvcache.NewPool(5, PageSize)
	s.add(one)
	s.run()
	s.remove(one)
	other := seqOf(2 * PageSize)
	other.salt = "a"
	s.add(other)
	s.run()
	s.add(two) // needs 1 page beside the 2 that it finds, and 1 for the other: 3 are free
	if s.run(); len(s.waiting) != 1 {
		t.Errorf("let in with %d pages free", s.pool.Free())
	}
	s.remove(other)
	if rows := s.run(); rows[two] != 1 {
		t.Errorf("%d rows", rows[two])
	}
}

// Off, nothing is looked up or published.
func TestPrefixCacheOff(t *testing.T) {
	s, one, two := twins(300)
	s.prefixes.off = true
	for _, q := range []*sequence{one, two} {
		s.add(q)
		if rows := s.run(); rows[q] != 300 {
			t.Errorf("%d rows", rows[q])
		}
		s.remove(q)
	}
	if s.pool.Published() != 0 || s.prefixes.queries != 0 {
		t.Errorf("%d pages published, %d tokens asked for", s.pool.Published(), s.prefixes.queries)
	}
}

// The cuts that find makes are those that a prefill may be cut at, whatever the
// size of a page.
func TestFoundPagesEndAtQuanta(t *testing.T) {
	for _, size := range []int{16, 32, 64, 128} {
		s := &scheduler{pool: kvcache.NewPool(64, size), maxBatch: 8, chunk: 512, mixed: 128}
		one, two := seqOf(240), seqOf(240)
		s.add(one)
		s.run()
		s.add(two)
		want := 240 / max(size, backend.ChunkQuantum) * max(size, backend.ChunkQuantum)
		if rows := s.run(); rows[two] != 240-want || two.done != 240 {
			t.Errorf("pages of %d: %d rows of a known prompt of 240, want %d", size, rows[two], 240-want)
		}
	}
}
