package cuda

import (
	"runtime"
	"sync"
	"sync/atomic"

	"llorch/inference/backend"
)

// feed reads pieces into slots, in the order of their list. Whoever copies takes them
// from full as they are ready, and gives each slot back to free.
type feed struct {
	free   chan int
	full   chan reading
	next   atomic.Int64 // piece
	over   atomic.Bool  // no further piece is begun
	ended  sync.WaitGroup
	pieces []backend.Piece
}

// reading is a piece that was read, or could not be.
type reading struct {
	slot, piece int
	err         error
}

// readers bounds what is read at once. One alone copies 5 to 10 GB/s out of the page
// cache, and examines what it has read.
const readers = 12

// newFeed begins to read. stop must be called.
func newFeed(pieces []backend.Piece, buffers [][]byte, read func(i int, into []byte) error) *feed {
	f := &feed{free: make(chan int, len(buffers)), full: make(chan reading, len(buffers)), pieces: pieces}
	for i := range buffers {
		f.free <- i
	}
	for range min(readers, len(buffers), max(2, runtime.GOMAXPROCS(0)-1)) {
		f.ended.Go(func() { f.run(buffers, read) })
	}
	return f
}

// run reads one piece after the other. A slot is taken before a piece is, so that every
// piece before one that is under way is under way too, or was: read may wait for them.
func (f *feed) run(buffers [][]byte, read func(i int, into []byte) error) {
	for slot := range f.free {
		i := int(f.next.Add(1)) - 1
		if i >= len(f.pieces) || f.over.Load() {
			return
		}
		err := read(i, buffers[slot][:f.pieces[i].Bytes])
		if err != nil {
			f.over.Store(true)
		}
		f.full <- reading{slot, i, err}
	}
}

// take returns the next piece that was read; ok is false where there is none now and
// nobody waits.
func (f *feed) take(wait bool) (r reading, ok bool) {
	if wait {
		return <-f.full, true
	}
	select {
	case r = <-f.full:
		return r, true
	default:
		return r, false
	}
}

// stop ends the reading and waits until it has ended.
func (f *feed) stop() {
	f.over.Store(true)
	close(f.free)
	f.ended.Wait()
}
