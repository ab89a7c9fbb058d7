package kvcache

import "fmt"

// Pool is the set of all pages.
type Pool struct {
	pageSize int
	free     []int32 // the next page to hand out is last
	held     []bool  // by page
}

// NewPool returns a pool of free pages of pageSize positions each.
func NewPool(pages, pageSize int) *Pool {
	if pages < 1 || pageSize < 1 {
		panic(fmt.Sprintf("kvcache: a pool of %d pages of %d", pages, pageSize))
	}
	p := &Pool{pageSize: pageSize, held: make([]bool, pages)}
	for page := pages - 1; page >= 0; page-- {
		p.free = append(p.free, int32(page))
	}
	return p
}

// PageSize returns the positions of a page.
func (p *Pool) PageSize() int { return p.pageSize }

// Total returns the number of pages.
func (p *Pool) Total() int { return len(p.held) }

// Free returns the number of pages nobody holds.
func (p *Pool) Free() int { return len(p.free) }

// Need returns how many pages a table of held pages lacks for positions
// positions.
func (p *Pool) Need(held, positions int) int {
	return max(0, (positions+p.pageSize-1)/p.pageSize-held)
}

// Grow appends pages to table until it covers positions positions. It takes all
// or nothing and reports whether there were enough.
func (p *Pool) Grow(table []int32, positions int) ([]int32, bool) {
	n := p.Need(len(table), positions)
	if n > len(p.free) {
		return table, false
	}
	for range n {
		page := p.free[len(p.free)-1]
		p.free = p.free[:len(p.free)-1]
		p.held[page] = true
		table = append(table, page)
	}
	return table, true
}

// Release gives back all pages of table and returns it empty.
func (p *Pool) Release(table []int32) []int32 {
	for i := len(table) - 1; i >= 0; i-- {
		page := table[i]
		if !p.held[page] {
			panic(fmt.Sprintf("kvcache: page %d given back twice", page))
		}
		p.held[page] = false
		p.free = append(p.free, page)
	}
	return table[:0]
}
