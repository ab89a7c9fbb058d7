package kvcache

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// holder is a sequence: the pages of its text before done are written.
type holder struct {
	text  Text
	pages []int32
	done  int // pages
}

// books are the naive model of a pool: what each page says, in full, and since
// when nobody holds it.
type books struct {
	*rapid.T
	pool    *Pool
	written []string // by page: all of the text up to its end
	known   map[string]entry
	holders []*holder
	tick    int
	evicted uint64
	shared  int // pages that somebody else had computed
}

type entry struct {
	page int32
	idle int // the moment since when, where nobody holds it
}

// key is all of a text up to the end of its page i.
func (b *books) key(t Text, i int) string {
	return t.Salt + "|" + fmt.Sprint(t.IDs[:(i+1)*b.pool.pageSize])
}

func (b *books) held() map[int32]int {
	held := map[int32]int{}
	for _, h := range b.holders {
		for _, page := range h.pages {
			held[page]++
		}
	}
	return held
}

// start begins a text with what is known of it.
func (b *books) start(h *holder, t Text) {
	found := b.pool.Find(nil, t)
	want := 0
	for (want+1)*b.pool.pageSize <= len(t.IDs) && b.has(b.key(t, want)) {
		want++
	}
	if len(found) != want {
		b.Fatalf("%d pages of %v found, %d are known", len(found), t, want)
	}
	idle, held := 0, b.held()
	for _, page := range found {
		if held[page] == 0 {
			idle++
		}
	}
	if got := b.pool.Idle(found); got != idle {
		b.Fatalf("%d of %v are said to be idle, %d are", got, found, idle)
	}
	lacks := b.pool.Need(want, len(t.IDs))
	if lacks+idle > b.pool.Free() {
		return
	}
	h.text, h.done = t, want
	h.pages = b.pool.Share(h.pages[:0], 0, found)
	b.shared += len(found)
	b.make(lacks, held, found)
	grown, ok := b.pool.Grow(h.pages, len(t.IDs))
	if h.pages = grown; !ok {
		b.Fatalf("no room for %d more pages although %d were free", lacks, b.pool.Free())
	}
}

// make evicts from the model what n blank pages need, beside the pages taken.
func (b *books) make(n int, held map[int32]int, taken []int32) {
	for _, page := range taken {
		held[page]++
	}
	idle := slices.DeleteFunc(slices.Collect(maps.Keys(b.known)), func(k string) bool { return held[b.known[k].page] > 0 })
	slices.SortFunc(idle, func(x, y string) int { return b.known[x].idle - b.known[y].idle })
	for blank := b.pool.Total() - len(held) - len(idle); blank < n; blank++ {
		for k := range b.known {
			if k != idle[0] && strings.HasPrefix(k, strings.TrimSuffix(idle[0], "]")+" ") {
				b.Fatalf("%s goes before %s, which needs it", idle[0], k)
			}
		}
		delete(b.known, idle[0])
		idle, b.evicted = idle[1:], b.evicted+1
	}
}

func (b *books) has(key string) bool { _, ok := b.known[key]; return ok }

// advance takes what others have published by now, or writes the next page.
func (b *books) advance(h *holder, publish bool) {
	if found := b.pool.Find(h.pages[:h.done], h.text); len(found) > 0 {
		h.pages = b.pool.Share(h.pages, h.done, found)
		h.done += len(found)
		b.shared += len(found)
		return
	}
	if h.done == len(h.pages) || (h.done+1)*b.pool.pageSize > len(h.text.IDs) {
		return
	}
	page := h.pages[h.done]
	if b.held()[page] != 1 || b.pool.pages[page].published {
		b.Fatalf("page %d is written, held by %d", page, b.held()[page])
	}
	b.written[page] = b.key(h.text, h.done)
	h.done++
	if !publish {
		return
	}
	b.publish(h)
}

func (b *books) publish(h *holder) {
	b.pool.Publish(h.pages[:h.done], 0, h.text)
	for i, page := range h.pages[:h.done] {
		if k := b.key(h.text, i); !b.has(k) {
			b.known[k] = entry{page: page}
		} else if b.known[k].page != page {
			b.Fatalf("%s lies in page %d and in page %d", k, b.known[k].page, page)
		}
	}
}

func (b *books) release(h *holder) {
	pages := slices.Clone(h.pages)
	h.pages, h.done = b.pool.Release(h.pages), 0
	held := b.held()
	for i := len(pages) - 1; i >= 0; i-- {
		if k := b.written[pages[i]]; held[pages[i]] == 0 && b.has(k) && b.known[k].page == pages[i] {
			b.tick++
			b.known[k] = entry{pages[i], b.tick}
		}
	}
}

// forget drops all that begins as h does.
func (b *books) forget(h *holder) {
	b.pool.Forget(h.pages)
	if h.done == 0 {
		return
	}
	first := b.key(h.text, 0)
	if e, ok := b.known[first]; !ok || e.page != h.pages[0] {
		return // what h has computed was not published
	}
	for k := range b.known {
		if k == first || strings.HasPrefix(k, strings.TrimSuffix(first, "]")+" ") {
			delete(b.known, k)
		}
	}
}

// check compares the pool with the model.
func (b *books) check() {
	held := b.held()
	for _, h := range b.holders {
		for i, page := range h.pages[:h.done] {
			if b.written[page] != b.key(h.text, i) {
				b.Fatalf("page %d of %v says %s", i, h.text, b.written[page])
			}
		}
	}
	for page, n := range held {
		if int(b.pool.pages[page].holders) != n {
			b.Fatalf("page %d has %d holders, %d hold it", page, b.pool.pages[page].holders, n)
		}
	}
	if b.pool.Free() != b.pool.Total()-len(held) {
		b.Fatalf("%d of %d pages are free, %d are held", b.pool.Free(), b.pool.Total(), len(held))
	}
	if b.pool.Published() != len(b.known) || b.pool.Evictions() != b.evicted {
		b.Fatalf("%d pages published, %d evicted; the model has %d and %d", b.pool.Published(), b.pool.Evictions(), len(b.known), b.evicted)
	}
}
