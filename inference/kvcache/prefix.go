package kvcache

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// Text is what a table of pages holds, or is to hold, from its first position on.
type Text struct {
	Salt string // texts of different salts share nothing; usually ""
	IDs  []int32
}

// Find returns the published pages that continue a text, of which table covers
// the first pages already. The result is valid until pages are next taken,
// given back or forgotten; Share takes them.
func (p *Pool) Find(table []int32, t Text) (pages []int32) {
	parent := none
	if n := len(table); n > 0 {
		if parent = table[n-1]; !p.pages[parent].published {
			return nil
		}
	}
	for i := len(table); (i+1)*p.pageSize <= len(t.IDs); i++ {
		if parent, _ = p.lookup(parent, t, i); parent == none {
			break
		}
		pages = append(pages, parent)
	}
	return pages
}

// Idle returns how many of pages nobody holds: sharing those takes as many free
// pages.
func (p *Pool) Idle(pages []int32) (n int) {
	for _, page := range pages {
		if p.pages[page].holders == 0 {
			n++
		}
	}
	return n
}

// Share makes found pages those of table from its page at on. Pages that were
// there are given back; table must cover at least the pages before.
func (p *Pool) Share(table []int32, at int, found []int32) []int32 {
	for i, page := range found {
		p.hold(page)
		if at+i < len(table) {
			p.giveBack(table[at+i])
			table[at+i] = page
		} else {
			table = append(table, page)
		}
	}
	return table
}

// Publish makes the full pages of table known as those of text, from its page
// at on. Nobody may write to them from then on. Where somebody else has
// published the same before, table gets that page instead of its own: one copy
// is enough. A page whose predecessor is not published is left out.
func (p *Pool) Publish(table []int32, at int, t Text) {
	for i := at; i < len(table) && (i+1)*p.pageSize <= len(t.IDs); i++ {
		parent := none
		if i > 0 {
			if parent = table[i-1]; !p.pages[parent].published {
				return
			}
		}
		known, hash := p.lookup(parent, t, i)
		switch {
		case known == none:
			p.insert(table[i], parent, hash, t, i)
		case known != table[i]:
			p.hold(known)
			p.giveBack(table[i])
			table[i] = known
		}
	}
}

// Forget unpublishes every page that begins with the first page of table: what
// they hold is not to be trusted. Who holds them keeps them.
func (p *Pool) Forget(table []int32) {
	if len(table) == 0 || !p.pages[table[0]].published {
		return
	}
	var gone []int32
	for i := range p.pages {
		if p.pages[i].published && p.first(int32(i)) == table[0] {
			gone = append(gone, int32(i))
		}
	}
	for _, page := range gone {
		p.unpublish(page)
	}
}

// first is the first page of the text that a published page belongs to.
func (p *Pool) first(page int32) int32 {
	for p.pages[page].parent != none {
		page = p.pages[page].parent
	}
	return page
}

// IsPublished reports whether the content of a page is known: nobody may write
// to it.
func (p *Pool) IsPublished(page int32) bool { return p.pages[page].published }

// Published returns the number of pages whose content is known, held or idle.
func (p *Pool) Published() int { return p.published }

// Evictions counts the published pages that were given up for want of blank ones.
func (p *Pool) Evictions() uint64 { return p.evictions }

// evict makes the page blank that has been idle longest.
func (p *Pool) evict() {
	p.unpublish(p.idle.oldest)
	p.evictions++
}

// lookup finds the published page i of a text, none if there is none, and the
// hash it has or would have.
func (p *Pool) lookup(parent int32, t Text, i int) (page int32, hash uint64) {
	ids := t.IDs[i*p.pageSize : (i+1)*p.pageSize]
	if parent != none {
		hash = p.pages[parent].hash
	}
	hash = p.hash(hash, t.Salt, ids)
	page, ok := p.index[hash]
	if !ok {
		return none, hash
	}
	for page != none && !p.is(page, parent, t.Salt, ids) {
		page = p.pages[page].twin
	}
	return page, hash
}

// is compares what a hash cannot vouch for.
func (p *Pool) is(page, parent int32, salt string, ids []int32) bool {
	g := &p.pages[page]
	return g.parent == parent && g.salt == salt && slices.Equal(p.tokensOf(page), ids)
}

func (p *Pool) tokensOf(page int32) []int32 {
	return p.tokens[int(page)*p.pageSize:][:p.pageSize]
}

func (p *Pool) insert(page, parent int32, hash uint64, t Text, i int) {
	if p.tokens == nil {
		p.tokens = make([]int32, len(p.pages)*p.pageSize)
	}
	copy(p.tokensOf(page), t.IDs[i*p.pageSize:])
	g := &p.pages[page]
	g.published, g.parent, g.hash, g.salt, g.twin = true, parent, hash, t.Salt, none
	if first, ok := p.index[hash]; ok {
		g.twin = first
	}
	p.index[hash] = page
	p.published++
}

// unpublish takes a page out of the index. An idle one becomes blank.
func (p *Pool) unpublish(page int32) {
	g := &p.pages[page]
	switch at := p.index[g.hash]; {
	case at != page:
		for p.pages[at].twin != page {
			at = p.pages[at].twin
		}
		p.pages[at].twin = g.twin
	case g.twin != none:
		p.index[g.hash] = g.twin
	default:
		delete(p.index, g.hash)
	}
	g.published, g.salt = false, ""
	p.published--
	if g.holders == 0 {
		p.idle.remove(p.pages, page)
		p.blank = append(p.blank, page)
	}
}

// hasher is the hash of a page's tokens, chained to that of the page before it.
type hasher func(parent uint64, salt string, tokens []int32) uint64

// seeded returns a hasher whose seed nobody knows: prompts cannot be made to
// collide.
func seeded(seed maphash.Seed) hasher {
	return func(parent uint64, salt string, tokens []int32) uint64 {
		var h maphash.Hash
		h.SetSeed(seed)
		var b [256]byte
		n := len(binary.LittleEndian.AppendUint64(b[:0], parent))
		for _, id := range tokens {
			if n == len(b) {
				h.Write(b[:])
				n = 0
			}
			binary.LittleEndian.PutUint32(b[n:], uint32(id))
			n += 4
		}
		h.Write(b[:n])
		h.WriteString(salt)
		return h.Sum64()
	}
}
