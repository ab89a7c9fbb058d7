package cuda

import (
	"errors"
	"fmt"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

// batch is the device's copy of a backend.Batch: arrays of int32 in one allocation. Few come with launches, as those of decode
// steps are; more go through one pinned buffer by one copy a step.
type batch struct {
	of     *backend.Batch // nil: nothing is there
	device driver.Ptr
	pinned driver.Pinned
	words  []int32 // of pinned
	few    [mostSet]int32
	at     layout
	reach  reach
	passed driver.Event // the copy out of pinned
}

// mostSet is how many words come with launches; from how many on a copy is as fast was not measured.
const mostSet = 3 * launchWords

// layout says where the arrays of a batch begin, in words.
type layout struct{ tokens, positions, tables, logits, tiles, wide, pages, end int }

func layoutOf(b *backend.Batch) layout {
	n := b.Rows()
	l := layout{tokens: 0, positions: n, tables: 2 * n, logits: 3 * n, tiles: 3*n + len(b.Logits)}
	l.wide = l.tiles + 2*countTiles(b, prefillRows)
	l.pages = l.wide + 2*countTiles(b, wideRows)
	l.end = l.pages
	for i := range b.Seqs {
		l.end += len(b.Seqs[i].Pages)
	}
	return l
}

// fill writes a batch's arrays. Each row has the place of its sequence's page table,
// counted from the beginning of all tables.
func (l layout) fill(words []int32, b *backend.Batch) {
	copy(words[l.tokens:], b.Tokens)
	copy(words[l.positions:l.tables], b.Positions)
	copy(words[l.logits:], b.Logits)
	fillTiles(words[l.tiles:l.wide], b, prefillRows)
	fillTiles(words[l.wide:l.pages], b, wideRows)
	table := 0
	for i := range b.Seqs {
		s := &b.Seqs[i]
		for row := s.First; row < s.First+s.Rows; row++ {
			words[l.tables+row] = int32(table)
		}
		table += copy(words[l.pages+table:], s.Pages)
	}
}

// use makes b the batch that the next launches read. The engine changes a batch
// between steps only, so one that is there already stays.
func (d *Device) use(b *backend.Batch) {
	if d.batch.of == b || d.broken() {
		return
	}
	l := layoutOf(b)
	if err := d.batchRoom(l.end); err != nil {
		d.fail(err)
		return
	}
	d.batch.at, d.batch.of, d.batch.reach = l, b, reachOf(b)
	if l.end <= mostSet {
		l.fill(d.batch.few[:], b)
		d.setWords(d.batch.device, d.batch.few[:l.end])
		return
	}
	d.check(d.drv.EventSynchronize(d.batch.passed))
	l.fill(d.batch.words, b)
	d.check(d.drv.CopyHtoDAsync(d.batch.device, d.batch.pinned.Bytes[:4*l.end], d.stream))
	d.check(d.drv.EventRecord(d.batch.passed, d.stream))
}

// batchRoom makes room for words, generously: a step larger than the warm-up's must
// not allocate while others wait. On an error the room that was there stays.
func (d *Device) batchRoom(words int) error {
	if words <= len(d.batch.words) {
		return nil
	}
	words = max(64<<10, 2*words)
	p, err := d.alloc(backend.Scratch, int64(4*words))
	if err != nil {
		return err
	}
	pinned, err := d.drv.HostAlloc(int64(4 * words))
	if err != nil {
		return errors.Join(fmt.Errorf("cuda: %d bytes of pinned memory: %w", 4*words, named(err)), d.release(p))
	}
	err = d.freeBatch()
	d.batch.device, d.batch.pinned, d.batch.words = p, pinned, words32(pinned.Bytes)
	return err
}

// freeBatch frees as much as it can.
func (d *Device) freeBatch() error {
	if d.batch.words == nil {
		return nil
	}
	d.batch.words, d.batch.of = nil, nil
	return errors.Join(d.drv.StreamSynchronize(d.stream), d.release(d.batch.device), d.drv.HostFree(d.batch.pinned))
}

func (b *batch) word(at int) driver.Ptr { return b.device + driver.Ptr(4*at) }

func (b *batch) params() batchParams {
	return batchParams{positions: b.word(b.at.positions), tables: b.word(b.at.tables), pages: b.word(b.at.pages)}
}
