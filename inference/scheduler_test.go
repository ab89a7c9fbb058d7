package inference

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"llorch/inference/backend"
	"llorch/inference/kvcache"
)

// TestScheduler drives random arrivals, lengths and departures through a small
// pool, checks every step and that everybody finishes.
func TestScheduler(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const pageSize = 16
		context := rapid.IntRange(2, 40).Draw(t, "context pages") * pageSize
		pages := context/pageSize + rapid.IntRange(0, 20).Draw(t, "more pages")
		s := &scheduler{
			pool: kvcache.NewPool(pages, pageSize), maxBatch: rapid.IntRange(1, 6).Draw(t, "batch"),
			chunk: rapid.SampledFrom([]int{64, 100, 512}).Draw(t, "chunk"), mixed: 64,
			prefixes: prefixes{off: rapid.IntRange(0, 3).Draw(t, "off") == 0},
		}
		mem := newMemory(pages, pageSize)
		left, arrived := rapid.IntRange(1, 12).Draw(t, "requests"), 0
		leave := func(q *sequence) {
			q.gone = true
			s.remove(q)
		}
		var under []work // a step whose tokens nobody knows yet
		for step := 0; left > 0 || !s.idle(); step++ {
			if step > 20000 {
				t.Fatal("no end in sight")
			}
			if left > 0 && rapid.IntRange(0, 3).Draw(t, "arrive") == 0 || s.idle() {
				prompt := rapid.IntRange(1, context-1).Draw(t, "prompt")
				s.add(&sequence{ids: drawPrompt(t, prompt), prompt: prompt, id: string(rune('a' + arrived)), salt: rapid.SampledFrom([]string{"", "", "b"}).Draw(t, "salt"),
					limit: rapid.IntRange(prompt+1, min(context, prompt+60)).Draw(t, "limit")})
				arrived, left = arrived+1, left-1
			}
			if len(under) == 0 {
				under = slices.Clone(s.next())
				checkStep(t, s, under)
				mem.write(t, s, under)
			}
			cancel := func() {
				if rapid.IntRange(0, 30).Draw(t, "cancel") == 0 && len(s.running) > 0 {
					leave(s.running[len(s.running)-1])
				}
			}
			cancel()
			var ahead []work
			if rapid.IntRange(0, 3).Draw(t, "ahead") > 0 {
				ahead = slices.Clone(s.follow(under))
				checkAhead(t, s, under, ahead)
				mem.write(t, s, ahead)
			}
			cancel()
			under = slices.DeleteFunc(under, func(w work) bool { return w.seq.gone })
			if rapid.IntRange(0, 30).Draw(t, "fail") == 0 {
				mem.spoil(under)
				for _, w := range under {
					leave(w.seq)
				}
				under = ahead
				continue
			}
			s.commit(under)
			mem.check(t, s)
			for _, w := range under {
				if w.samples() && rapid.IntRange(0, 60).Draw(t, "not finite") == 0 {
					s.distrust(w.seq)
					leave(w.seq)
					continue
				}
				if w.samples() {
					w.seq.ids = append(w.seq.ids, 1)
				}
				if len(w.seq.ids) >= w.seq.limit || rapid.IntRange(0, 200).Draw(t, "leave") == 0 {
					leave(w.seq)
				}
			}
			under = ahead
		}
		if s.pool.Free() != s.pool.Total() {
			t.Fatalf("%d of %d pages came back", s.pool.Free(), s.pool.Total())
		}
	})
}

func checkStep(t *rapid.T, s *scheduler, work []work) {
	if len(work) == 0 {
		t.Fatal("a step without work")
	}
	if len(s.running) > s.maxBatch {
		t.Fatalf("%d sequences run, %d may", len(s.running), s.maxBatch)
	}
	rows, prefillSeen, decoding := 0, false, 0
	for _, w := range work {
		q := w.seq
		rows += w.to - w.from
		switch {
		case w.from != q.done || w.to <= w.from || w.to > len(q.ids):
			t.Fatalf("work [%d,%d) of a sequence with %d done of %d", w.from, w.to, q.done, len(q.ids))
		case w.decode != (w.from >= q.prompt) || !w.decode && w.to > q.prompt:
			t.Fatalf("work [%d,%d) is marked decode=%v, the prompt is %d", w.from, w.to, w.decode, q.prompt)
		case w.decode && prefillSeen:
			t.Fatal("decode work after prefill work")
		case !w.decode && w.from%backend.ChunkQuantum != 0:
			t.Fatalf("a prefill goes on at %d", w.from)
		case !w.decode && w.to < q.prompt && w.to%backend.ChunkQuantum != 0:
			t.Fatalf("a prefill is cut at %d", w.to)
		case len(q.pages)*s.pool.PageSize() < w.to:
			t.Fatalf("%d pages for %d positions", len(q.pages), w.to)
		}
		if w.decode {
			decoding++
		}
		prefillSeen = prefillSeen || !w.decode
	}
	if rows > s.maxBatch+s.chunk {
		t.Fatalf("%d rows, room is for %d", rows, s.maxBatch+s.chunk)
	}
	for _, q := range s.running {
		if q.decoding() {
			decoding--
		}
	}
	if decoding != 0 {
		t.Fatalf("%d running sequences have no row", -decoding)
	}
}

// checkAhead checks the step behind one that is under way: each sequence that goes on has a row, of the position
// behind, which is fed with the choice of its own logits row.
func checkAhead(t *rapid.T, s *scheduler, under, ahead []work) {
	var logits []*sequence
	last, going := map[*sequence]work{}, 0
	for _, w := range under {
		if last[w.seq] = w; w.samples() {
			logits = append(logits, w.seq)
		}
		if !w.seq.gone && w.to+1 < w.seq.limit {
			going++
		}
	}
	if len(ahead) > 0 && len(ahead) != going {
		t.Fatalf("%d sequences go on, %d of them ahead", going, len(ahead))
	}
	for _, w := range ahead {
		q := w.seq
		switch {
		case q.gone || w.fed < 1 || w.fed > len(logits) || logits[w.fed-1] != q:
			t.Fatalf("row of a sequence that has left (%v), or fed with logits row %d of %d", q.gone, w.fed-1, len(logits))
		case !w.decode || w.from != last[q].to || w.to != w.from+1 || w.to >= q.limit:
			t.Fatalf("work [%d,%d) decode=%v behind [%d,%d), the limit is %d", w.from, w.to, w.decode, last[q].from, last[q].to, q.limit)
		case len(q.pages)*s.pool.PageSize() < w.to:
			t.Fatalf("%d pages for %d positions", len(q.pages), w.to)
		}
	}
}

// TestPreemptsTheNewest fills the pool with two decoding sequences: the older
// goes on, the newer waits at the head of the queue, before who came later, and
// replays its own tokens as decode rows.
func TestPreemptsTheNewest(t *testing.T) {
	s := &scheduler{pool: kvcache.NewPool(4, 64), maxBatch: 3, chunk: 64, mixed: 64}
	old, young, late := seqOf(64), seqOf(64), seqOf(160)
	young.salt = "of its own" // it shares nothing with the others
	s.add(old)
	s.add(young)
	grow := func() {
		work := s.next()
		s.commit(work)
		for _, w := range work {
			if w.samples() {
				w.seq.ids = append(w.seq.ids, 1)
			}
		}
	}
	for len(old.ids) < 128 {
		grow()
	}
	s.add(late)
	for old.done < 129 && young.preemptions == 0 {
		grow()
	}
	if old.preemptions != 0 || young.preemptions != 1 || len(s.waiting) != 2 || s.waiting[0] != young || young.done != 0 {
		t.Fatalf("old %d, young %d preemptions, %d wait", old.preemptions, young.preemptions, len(s.waiting))
	}
	generated := len(young.ids) - young.prompt
	s.remove(old)
	first := s.next()
	if len(first) != 1 || first[0].seq != young || first[0].decode || first[0].to != young.prompt {
		t.Fatalf("the prompt is not prefilled first: %+v", first)
	}
	s.commit(first)
	again := s.next()
	if w := again[0]; w.seq != young || !w.decode || w.to-w.from != generated || !w.samples() {
		t.Fatalf("replay is [%d,%d) decode=%v, want %d decode rows", w.from, w.to, w.decode, generated)
	}
}

func seqOf(prompt int) *sequence {
	return &sequence{ids: make([]int32, prompt), prompt: prompt, limit: 1000}
}
