package weights

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"

	"llorch/inference/weights/longhash"
)

// Checks say what an examination does with the bytes it reads.
type Checks struct {
	SHA256 bool // sum with SHA-256 beside XXH3
	Finite bool // refuse NaN and ±Inf in F16, BF16, F32 and F64 tensors, and in the scales of blocked ones
}

// Sums are the digests of some bytes, in hexadecimal digits.
type Sums struct {
	XXH3   string // XXH3-128, high half first, as `xxhsum -H2` prints it
	SHA256 string // "" where it was not asked for
}

const (
	// examineBlock is what is hashed and then searched: it stays in a core's own
	// cache in between, so that memory is read once.
	examineBlock = 256 << 10
	// examineWorkers bounds the goroutines of an examination. One keeps pace with any
	// disk; several pay where the pages are in memory already, as far as that is read.
	examineWorkers = 8
	// examineAhead is how many blocks a worker may have read that wait for their turn
	// to be hashed: 16 KiB of sums each.
	examineAhead = 4
)

// Examination reads every byte of a mapped Source once, behind Populate, and beside
// whatever else a load does: a goroutine a processor, block by block in the order of
// their arrival. Where several blocks are not right, the error is the first one's.
type Examination struct {
	source *Source
	checks Checks
	turns  []*turn             // by file
	byFile [][]*Tensor         // by offset
	sieves [][]*longhash.Sieve // of these; nil for a file whose search is apart from its sum
	queue  chan Span           // what is in memory, in order; room for all
	spare  chan []longhash.Sum // who reads a block has one of them until it is hashed
	done   atomic.Int64
	ctx    context.Context
	cancel context.CancelCauseFunc
	ended  sync.WaitGroup

	mu     sync.Mutex
	now    Span  // arrived, and nobody reads it yet
	left   int64 // bytes that nobody reads yet, arrived or not
	failed error
	place  Span // of what failed
}

// Examine begins to read the files, which Map has mapped. It reads what Populate
// has brought into memory, and no further. Result or Stop must be called, and before
// Close: both wait until nothing is read any more.
func (s *Source) Examine(ctx context.Context, c Checks) *Examination {
	x := &Examination{source: s, checks: c, left: s.FileBytes()}
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	slices := int64(0)
	for i := range s.Files {
		t := &turn{hasher: newHasher(c, longhash.New(s.Files[i].mapped)), waiting: map[int64]piece{}}
		x.turns, x.byFile, x.sieves = append(x.turns, t), append(x.byFile, s.tensorsOf(i)), append(x.sieves, nil)
		if c.Finite && t.long != nil {
			x.sieves[i] = sievesOf(x.byFile[i])
		}
		slices += s.Files[i].Size/populateSlice + 1
	}
	x.queue = make(chan Span, slices)
	workers := min(examineWorkers, runtime.GOMAXPROCS(0))
	x.spare = make(chan []longhash.Sum, workers*examineAhead)
	for range cap(x.spare) {
		x.spare <- nil
	}
	for range workers {
		x.ended.Go(x.work)
	}
	return x
}

// arrived says that the bytes of a span, a slice of Populate, are in memory; spans come in
// the order of the files. It returns why the examination is over already, nil if it is
// not.
func (x *Examination) arrived(s Span) error {
	if x == nil {
		return nil
	}
	x.queue <- s
	if x.ctx.Err() == nil {
		return nil
	}
	x.ended.Wait()
	return x.err()
}

// Done returns how many bytes have been read.
func (x *Examination) Done() int64 { return x.done.Load() }

// Result waits until everything that will arrive has been read, and returns the
// sums in the order of Source.Files. The error is an *Error, or ctx's.
func (x *Examination) Result() ([]Sums, error) {
	x.ended.Wait()
	err := x.err()
	x.cancel(nil)
	if err != nil {
		return nil, err
	}
	sums := make([]Sums, len(x.turns))
	for i, t := range x.turns {
		f := &x.source.Files[i]
		if err := f.changed(); err != nil { // what was read is of no file any more
			return nil, err
		}
		if sums[i], err = t.end(*f); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// Stop ends the examination without a result. It may follow Result.
func (x *Examination) Stop() {
	x.cancel(nil)
	x.ended.Wait()
}

// work reads blocks until there are no more.
func (x *Examination) work() {
	for {
		var sums []longhash.Sum
		select {
		case <-x.ctx.Done():
			return
		case sums = <-x.spare:
		}
		s, ok := x.next()
		if !ok {
			return
		}
		if err := x.block(s, sums[:0]); err != nil {
			x.fail(s, err)
			return
		}
	}
}

// next waits for the next block in the order of arrival. It returns false when all have
// been taken, and when the examination is over.
func (x *Examination) next() (Span, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.left > 0 && x.now.From == x.now.To && x.ctx.Err() == nil {
		select {
		case <-x.ctx.Done():
		case x.now = <-x.queue:
		}
	}
	if x.left == 0 || x.ctx.Err() != nil {
		return Span{}, false
	}
	s := x.now
	s.To = min(s.From+examineBlock, s.To)
	x.now.From = s.To
	x.left -= s.To - s.From
	return s, true
}

// block reads one block. A block before it is being read, or was.
func (x *Examination) block(s Span, sums []longhash.Sum) error {
	f, t := &x.source.Files[s.File], x.turns[s.File]
	b := f.mapped[s.From:s.To]
	err := f.guarded(func() (err error) {
		if sums, err = x.sum(s, sums); err == nil {
			t.add(x.ctx, s.From, piece{b, sums, func() { x.spare <- sums }})
		}
		return err
	})
	if err == nil {
		x.done.Add(int64(len(b)))
	}
	return err
}

// fail ends the examination with an error of block s. Blocks before it are still read to
// their end.
func (x *Examination) fail(s Span, err error) {
	x.mu.Lock()
	if p := x.place; x.failed == nil || s.File < p.File || s.File == p.File && s.From < p.From {
		x.failed, x.place = err, s
	}
	x.mu.Unlock()
	x.cancel(err)
}

// err is why the examination, which has ended, is over; nil: it has read everything.
func (x *Examination) err() error {
	if x.failed != nil {
		return x.failed
	}
	return context.Cause(x.ctx)
}

// guarded runs read, which reads the mapping, and returns an *Error where a page
// cannot be had any more: the file was truncated, or its disk failed.
func (f *File) guarded(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case faultAddress:
			err = f.ioError("", int64(p.Addr()-addressOf(f.mapped)), errUnreadable)
		default:
			panic(p)
		}
	}()
	return read()
}

var errUnreadable = errors.New("a page of the mapping cannot be read: the file was truncated, or its disk failed")

// faultAddress is the panic of a memory access that failed.
type faultAddress interface {
	runtime.Error
	Addr() uintptr
}

// Part is a stretch of a file with its digest: a tensor, or the header, whose
// Tensor is "".
type Part struct {
	Tensor        string
	Offset, Bytes int64
	XXH3          string
}

// Parts sums the header and each tensor of a mapped file, in the order of their
// offsets. They are the whole file: a part goes to where the next begins, so that
// the padding of a GGUF file is of the tensor before it. It reads what is not in
// memory.
func (s *Source) Parts(ctx context.Context, file int) ([]Part, error) {
	f := &s.Files[file]
	parts := []Part{{}}
	for _, t := range s.tensorsOf(file) {
		parts[len(parts)-1].Bytes = t.Offset - parts[len(parts)-1].Offset
		parts = append(parts, Part{Tensor: t.Name, Offset: t.Offset})
	}
	parts[len(parts)-1].Bytes = f.Size - parts[len(parts)-1].Offset
	for i := range parts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := &parts[i]
		err := f.guarded(func() error {
			sum := xxh3.Hash128(f.mapped[p.Offset : p.Offset+p.Bytes]).Bytes()
			p.XXH3 = hex.EncodeToString(sum[:])
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// SumFile sums a small file beside the weights, of at most limit bytes, and
// returns its size.
func SumFile(path string, limit int64) (Sums, int64, error) {
	data, err := ReadFile(path, limit)
	if err != nil {
		return Sums{}, 0, err
	}
	fast, slow := xxh3.Hash128(data).Bytes(), sha256.Sum256(data)
	return Sums{hex.EncodeToString(fast[:]), hex.EncodeToString(slow[:])}, int64(len(data)), nil
}

// tensorsOf returns the tensors of a file by offset.
func (s *Source) tensorsOf(file int) []*Tensor {
	var all []*Tensor
	for i := range s.tensors {
		if s.tensors[i].File == file {
			all = append(all, &s.tensors[i])
		}
	}
	return all
}
