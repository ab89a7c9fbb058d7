package weights

import (
	"context"
	"sort"
	"sync"
	"sync/atomic"
)

// Span is bytes [From,To) of a file, by its place in Source.Files.
type Span struct {
	File     int
	From, To int64
}

// Pass reads every byte of the files once, by pread, into memory of whoever asks, who
// copies it to where it is needed: nothing is mapped, and nothing stays. With checks it
// does what an Examination does.
type Pass struct {
	source *Source
	checks *Checks // nil: none
	spans  []Span
	turns  []*turn     // by file
	byFile [][]*Tensor // by offset
	done   atomic.Int64
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// turn is how far a file is hashed: a digest of all of it cannot be computed but in
// order. Whoever reads the next span hashes it, and goes on with those that are there by
// then: a digest handed from core to core would wait for each of them to wake.
type turn struct {
	mu      sync.Mutex
	at      int64 // hashed so far
	hashing bool
	waiting map[int64]*waiter // spans that were read early, by their first byte
	r       *reader
}

// waiter is a span that another reader will hash; its memory is left alone until done.
type waiter struct {
	b    []byte
	done chan struct{}
}

// Pass plans to read the files in spans of at most so many bytes, a multiple of 256 KiB:
// in the order of each file, and of several files in turns. Checks may be nil. Stop must
// be called, and before Close.
func (s *Source) Pass(ctx context.Context, c *Checks, bytes int64) *Pass {
	p := &Pass{source: s, checks: c}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	longest := int64(0)
	for i := range s.Files {
		t := &turn{waiting: map[int64]*waiter{}}
		if c != nil {
			t.r = s.newReader(i, *c)
		}
		p.turns, p.byFile = append(p.turns, t), append(p.byFile, s.tensorsOf(i))
		longest = max(longest, s.Files[i].Size)
	}
	for from := int64(0); from < longest; from += bytes {
		for i := range s.Files {
			if size := s.Files[i].Size; from < size {
				p.spans = append(p.spans, Span{i, from, min(from+bytes, size)})
			}
		}
	}
	return p
}

// Spans lists what Read reads, in the order in which it must begin.
func (p *Pass) Spans() []Span { return p.spans }

// Done returns how many bytes have been read and checked.
func (p *Pass) Done() int64 { return p.done.Load() }

// Read fills into with span i. It may be called from several goroutines, each span once,
// and waits for spans of the file before it: those must be under way. The error is an
// *Error, or ctx's, and ends all other reads.
func (p *Pass) Read(i int, into []byte) error {
	err := p.read(p.spans[i], into)
	if err != nil {
		p.cancel(err)
	}
	return err
}

func (p *Pass) read(s Span, into []byte) error {
	f := &p.source.Files[s.File]
	for at := int64(0); at < s.To-s.From; at += examineBlock {
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		b, from := into[at:min(at+examineBlock, s.To-s.From)], s.From+at
		if n, err := f.f.ReadAt(b, from); n < len(b) {
			return f.ioError("", from+int64(n), err)
		}
		if p.checks != nil && p.checks.Finite {
			if err := p.finite(s.File, b, from); err != nil {
				return err
			}
		}
	}
	if p.checks != nil {
		if err := p.hash(s, into[:s.To-s.From]); err != nil {
			return err
		}
	}
	p.done.Add(s.To - s.From)
	return nil
}

// finite searches all tensors of a file that have bytes in b, read from byte `from` on.
func (p *Pass) finite(file int, b []byte, from int64) error {
	all, to := p.byFile[file], from+int64(len(b))
	first := sort.Search(len(all), func(i int) bool { return all[i].Offset+all[i].Bytes > from })
	for _, t := range all[first:] {
		start, end := max(from, t.Offset), min(to, t.Offset+t.Bytes)
		if t.Offset >= to {
			break
		}
		if start >= end {
			continue
		}
		if err := t.finite(&p.source.Files[file], b[start-from:end-from], start); err != nil {
			return err
		}
	}
	return nil
}

// hash sums a span in its turn, or waits until another reader has.
func (p *Pass) hash(s Span, b []byte) error {
	t, w := p.turns[s.File], &waiter{b, make(chan struct{})}
	t.mu.Lock()
	t.waiting[s.From] = w
	if !t.hashing && t.at == s.From {
		t.hashing = true
		p.hashOn(t)
		t.hashing = false
	}
	t.mu.Unlock()
	select {
	case <-w.done:
	case <-p.ctx.Done():
		return p.leave(t, s, w)
	}
	if s.To < p.source.Files[s.File].Size {
		return nil
	}
	if err := p.source.Files[s.File].changed(); err != nil { // what was read is of no file any more
		return err
	}
	return nil
}

// hashOn sums the spans that are there, from the next on; t.mu is held, but not
// meanwhile.
func (p *Pass) hashOn(t *turn) {
	for w := t.waiting[t.at]; w != nil && p.ctx.Err() == nil; w = t.waiting[t.at] {
		delete(t.waiting, t.at)
		end := t.at + int64(len(w.b))
		t.mu.Unlock()
		t.r.hash(w.b, end)
		close(w.done)
		t.mu.Lock()
		t.at = end
	}
}

// leave takes a span back that nobody hashes yet, or waits for its end.
func (p *Pass) leave(t *turn, s Span, w *waiter) error {
	t.mu.Lock()
	_, waits := t.waiting[s.From]
	delete(t.waiting, s.From)
	t.mu.Unlock()
	if !waits {
		<-w.done
	}
	return context.Cause(p.ctx)
}

// Result returns the sums in the order of Source.Files once all spans were read.
func (p *Pass) Result() ([]Sums, error) {
	if err := context.Cause(p.ctx); err != nil {
		return nil, err
	}
	sums := make([]Sums, len(p.turns))
	for i, t := range p.turns {
		if err := t.end(&sums[i], p.source.Files[i]); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

func (t *turn) end(sums *Sums, f File) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at != f.Size {
		return fileError(f.Path, "not read to its end", nil)
	}
	*sums = t.r.sums()
	return nil
}

// Stop ends all reads; it does not wait for them.
func (p *Pass) Stop() {
	p.cancel(nil)
}
