package kvcache

// ring is the list of idle pages by the moment they became idle. Its links lie
// in the pages.
type ring struct {
	oldest, newest int32
	n              int
}

func newRing() ring { return ring{oldest: none, newest: none} }

// add appends a page as the newest.
func (r *ring) add(pages []page, i int32) {
	pages[i].older, pages[i].newer = r.newest, none
	if r.newest == none {
		r.oldest = i
	} else {
		pages[r.newest].newer = i
	}
	r.newest = i
	r.n++
}

// remove takes a page out that is in it.
func (r *ring) remove(pages []page, i int32) {
	older, newer := pages[i].older, pages[i].newer
	if older == none {
		r.oldest = newer
	} else {
		pages[older].newer = newer
	}
	if newer == none {
		r.newest = older
	} else {
		pages[newer].older = older
	}
	r.n--
}
