package kvcache

import (
	"fmt"
	"hash/maphash"
)

// Pool is the set of all pages.
type Pool struct {
	pageSize int
	blank    []int32 // nobody holds them and nothing is known of them; the next to hand out is last
	pages    []page
	tokens   []int32          // of published pages, pageSize each, by page
	index    map[uint64]int32 // by hash: the first of the pages that have it
	idle     ring
	hash     hasher

	published int
	evictions uint64
}

// page is what is known of one page.
type page struct {
	holders   int32
	published bool

	// Of a published page:
	parent int32 // the page before it in its text; none for the first
	salt   string
	hash   uint64
	twin   int32 // the next page with the same hash; none
	newer  int32 // its neighbours in the ring, while it is idle
	older  int32
}

const none = int32(-1)

// NewPool returns a pool of blank pages of pageSize positions each.
func NewPool(pages, pageSize int) *Pool {
	if pages < 1 || pageSize < 1 {
		panic(fmt.Sprintf("kvcache: a pool of %d pages of %d", pages, pageSize))
	}
	p := &Pool{pageSize: pageSize, pages: make([]page, pages), index: map[uint64]int32{}, idle: newRing(), hash: seeded(maphash.MakeSeed())}
	for page := pages - 1; page >= 0; page-- {
		p.blank = append(p.blank, int32(page))
	}
	return p
}

// PageSize returns the positions of a page.
func (p *Pool) PageSize() int { return p.pageSize }

// Total returns the number of pages.
func (p *Pool) Total() int { return len(p.pages) }

// Free returns the number of pages nobody holds, the published ones too.
func (p *Pool) Free() int { return len(p.blank) + p.idle.n }

// Need returns how many pages a table of held pages lacks for positions
// positions.
func (p *Pool) Need(held, positions int) int {
	return max(0, (positions+p.pageSize-1)/p.pageSize-held)
}

// Grow appends pages to table until it covers positions positions. It takes all
// or nothing and reports whether there were enough.
func (p *Pool) Grow(table []int32, positions int) ([]int32, bool) {
	n := p.Need(len(table), positions)
	if n > p.Free() {
		return table, false
	}
	for range n {
		if len(p.blank) == 0 {
			p.evict()
		}
		page := p.blank[len(p.blank)-1]
		p.blank = p.blank[:len(p.blank)-1]
		p.pages[page].holders = 1
		table = append(table, page)
	}
	return table, true
}

// Release gives back all pages of table and returns it empty.
func (p *Pool) Release(table []int32) []int32 {
	for i := len(table) - 1; i >= 0; i-- { // the last first: it is to be evicted first
		p.giveBack(table[i])
	}
	return table[:0]
}

func (p *Pool) hold(page int32) {
	g := &p.pages[page]
	if g.holders == 0 {
		p.idle.remove(p.pages, page)
	}
	g.holders++
}

func (p *Pool) giveBack(page int32) {
	g := &p.pages[page]
	if g.holders == 0 {
		panic(fmt.Sprintf("kvcache: page %d given back twice", page))
	}
	if g.holders--; g.holders > 0 {
		return
	}
	if g.published {
		p.idle.add(p.pages, page)
	} else {
		p.blank = append(p.blank, page)
	}
}
