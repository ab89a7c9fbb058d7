package weights

import (
	"context"
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

// Pass plans to read the files in spans of at most so many bytes, a multiple of 256 KiB:
// in the order of each file, and of several files in turns. Checks may be nil. Stop must
// be called, and before Close.
func (s *Source) Pass(ctx context.Context, c *Checks, bytes int64) *Pass {
	p := &Pass{source: s, checks: c}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	longest := int64(0)
	for i := range s.Files {
		t := &turn{waiting: map[int64]piece{}}
		if c != nil {
			t.hasher = newHasher(*c, nil) // no file lies in memory as a whole
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
			if err := finite(f, p.byFile[s.File], b, from); err != nil {
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

// hash sums a span in its turn, or waits until another reader has.
func (p *Pass) hash(s Span, b []byte) error {
	t, hashed := p.turns[s.File], make(chan struct{})
	t.add(p.ctx, s.From, piece{b: b, over: func() { close(hashed) }})
	select {
	case <-hashed:
	case <-p.ctx.Done():
		if !t.leave(s.From) { // somebody reads b
			<-hashed
		}
		return context.Cause(p.ctx)
	}
	if s.To < p.source.Files[s.File].Size {
		return nil
	}
	if err := p.source.Files[s.File].changed(); err != nil { // what was read is of no file any more
		return err
	}
	return nil
}

// Result returns the sums in the order of Source.Files once all spans were read.
func (p *Pass) Result() ([]Sums, error) {
	if err := context.Cause(p.ctx); err != nil {
		return nil, err
	}
	sums := make([]Sums, len(p.turns))
	for i, t := range p.turns {
		var err error
		if sums[i], err = t.end(p.source.Files[i]); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// Stop ends all reads; it does not wait for them.
func (p *Pass) Stop() {
	p.cancel(nil)
}
