package backend

// checkPhases checks what every op reads of a batch.
func checkPhases(op string, b *Batch) {
	if b == nil {
		fail(op, "no batch")
	}
	if b.Decode < 0 || b.Decode > b.Rows() {
		fail(op, "%d decode rows of %d", b.Decode, b.Rows())
	}
}

// checkTokens: a token is an id, or the choice of one of so many rows of the step before.
func checkTokens(op string, b *Batch, vocab, chosen int) {
	for i, id := range b.Tokens {
		if id < Chosen(chosen-1) || int(id) >= vocab {
			fail(op, "row %d: token %d of %d", i, id, vocab)
		}
	}
}

func checkLogits(op string, b *Batch) {
	last := int32(-1)
	for i, r := range b.Logits {
		if r <= last || int(r) >= b.Rows() {
			fail(op, "logits %d: row %d of %d after %d", i, r, b.Rows(), last)
		}
		last = r
	}
}

func checkPositions(op string, b *Batch, limit int) {
	for i, p := range b.Positions {
		if int(p) >= limit {
			fail(op, "row %d: position %d, the rope table ends at %d", i, p, limit)
		}
	}
}

// checkSeqs checks that the sequences tile the rows, that none crosses the
// border of the phases, and that every position has a page of the cache.
func checkSeqs(op string, b *Batch, kv KV, h Heads) {
	if len(b.Positions) != b.Rows() {
		fail(op, "%d positions for %d rows", len(b.Positions), b.Rows())
	}
	pages, next := kv.K.Rows/(h.KV*kv.PageSize), 0
	for i := range b.Seqs {
		s := &b.Seqs[i]
		if s.First != next || s.Rows <= 0 || s.Rows > b.Rows()-next {
			fail(op, "sequence %d has rows [%d,%d) after row %d of %d", i, s.First, s.First+s.Rows, next, b.Rows())
		}
		next += s.Rows
		if s.First < b.Decode && next > b.Decode {
			fail(op, "sequence %d has rows [%d,%d) in both phases (decode ends at %d)", i, s.First, next, b.Decode)
		}
		checkSeq(op, i, b.Positions[s.First:next], s.Pages, kv.PageSize, pages)
	}
	if next != b.Rows() {
		fail(op, "the sequences end at row %d of %d", next, b.Rows())
	}
}

// checkSeq checks one sequence. Its positions have no gap: a query would read
// keys there that nothing in this step has written.
func checkSeq(op string, i int, positions, table []int32, pageSize, pages int) {
	for j, p := range positions {
		if p < 0 || j > 0 && p != positions[j-1]+1 {
			fail(op, "sequence %d: positions %d … %d are not ascending one by one at its row %d", i, positions[0], p, j)
		}
	}
	used := int(positions[len(positions)-1])/pageSize + 1
	if used > len(table) {
		fail(op, "sequence %d: position %d needs %d pages of %d, has %d", i, positions[len(positions)-1], used, pageSize, len(table))
	}
	for j, page := range table[:used] {
		if page < 0 || int(page) >= pages {
			fail(op, "sequence %d: page %d is %d of %d", i, j, page, pages)
		}
	}
}
