package weights

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
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
	// examineWorkers bounds the files that are examined at once. One worker keeps
	// pace with any disk; several pay where the pages are in memory already.
	examineWorkers = 8
)

// Examination reads every byte of a mapped Source once, behind Populate, and
// beside whatever else a load does.
type Examination struct {
	source *Source
	checks Checks
	queues []chan int // by file: the ends of the slices that are in memory, in order; room for all
	sums   []Sums
	done   atomic.Int64
	cancel context.CancelCauseFunc
	ended  sync.WaitGroup
	ctx    context.Context
}

// Examine begins to read the files, which Map has mapped. It reads what Populate
// has brought into memory, and no further. Result or Stop must be called, and before
// Close: both wait until nothing is read any more.
func (s *Source) Examine(ctx context.Context, c Checks) *Examination {
	x := &Examination{source: s, checks: c, sums: make([]Sums, len(s.Files)), queues: make([]chan int, len(s.Files))}
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	for i := range s.Files {
		x.queues[i] = make(chan int, s.Files[i].Size/populateSlice+1)
	}
	var next atomic.Int64
	for range min(len(s.Files), examineWorkers, max(1, runtime.GOMAXPROCS(0)-1)) {
		x.ended.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(s.Files)); i = next.Add(1) - 1 {
				if err := x.file(int(i)); err != nil {
					x.cancel(err)
					return
				}
			}
		})
	}
	return x
}

// arrived says that the bytes of a file before end are in memory; ends rise. It
// returns why the examination is over already, nil if it is not.
func (x *Examination) arrived(file, end int) error {
	if x == nil {
		return nil
	}
	x.queues[file] <- end
	return context.Cause(x.ctx)
}

// Done returns how many bytes have been read.
func (x *Examination) Done() int64 { return x.done.Load() }

// Result waits until everything that will arrive has been read, and returns the
// sums in the order of Source.Files. The error is an *Error, or ctx's.
func (x *Examination) Result() ([]Sums, error) {
	x.ended.Wait()
	err := context.Cause(x.ctx)
	x.cancel(nil)
	return x.sums, err
}

// Stop ends the examination without a result. It may follow Result.
func (x *Examination) Stop() {
	x.cancel(nil)
	x.ended.Wait()
}

// file reads one file to its end.
func (x *Examination) file(i int) error {
	f := &x.source.Files[i]
	r := x.source.newReader(i, x.checks)
	r.long = longhash.New(f.mapped)
	for at := 0; at < len(f.mapped); {
		select {
		case <-x.ctx.Done():
			return context.Cause(x.ctx)
		case end := <-x.queues[i]:
			for ; at < end; at = min(at+examineBlock, end) {
				to := min(at+examineBlock, end)
				if x.ctx.Err() != nil {
					return context.Cause(x.ctx)
				}
				if err := f.guarded(func() error { return r.block(f.mapped[at:to], int64(at)) }); err != nil {
					return err
				}
				x.done.Add(int64(to - at))
			}
		}
	}
	if err := f.changed(); err != nil { // what was read is of no file any more
		return err
	}
	x.sums[i] = r.sums()
	return nil
}

// reader is the examination of one file as far as it has come.
type reader struct {
	file    *File
	tensors []*Tensor // not over yet, by offset
	checks  Checks
	long    *longhash.Hash // nil: fast
	fast    *xxh3.Hasher128
	slow    hash.Hash
}

func (s *Source) newReader(file int, c Checks) *reader {
	r := &reader{file: &s.Files[file], tensors: s.tensorsOf(file), checks: c, fast: xxh3.New128()}
	if c.SHA256 {
		r.slow = sha256.New()
	}
	return r
}

// block reads b, the bytes of the file from byte `from` on, which follow those before.
func (r *reader) block(b []byte, from int64) error {
	to := from + int64(len(b))
	r.hash(b, to)
	for len(r.tensors) > 0 && r.checks.Finite {
		t := r.tensors[0]
		start, end := max(from, t.Offset), min(to, t.Offset+t.Bytes)
		if start < end {
			if err := t.finite(r.file, b[start-from:end-from], start); err != nil {
				return err
			}
		}
		if t.Offset+t.Bytes > to {
			break
		}
		r.tensors = r.tensors[1:]
	}
	return nil
}

// hash takes b, which ends at byte `to` of the file, into the sums.
func (r *reader) hash(b []byte, to int64) {
	if r.long != nil {
		r.long.UpTo(int(to))
	} else {
		_, _ = r.fast.Write(b) // a hash never fails
	}
	if r.slow != nil {
		_, _ = r.slow.Write(b)
	}
}

func (r *reader) sums() Sums {
	sum := r.fast.Sum128().Bytes()
	if r.long != nil {
		sum = r.long.Sum().Bytes()
	}
	s := Sums{XXH3: hex.EncodeToString(sum[:])}
	if r.slow != nil {
		s.SHA256 = hex.EncodeToString(r.slow.Sum(nil))
	}
	return s
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
