package weights

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

const (
	populateSlice = 16 << 20
	progressEvery = 250 * time.Millisecond
)

// errNoPopulate is what populatePages answers where the kernel cannot do it.
var errNoPopulate = errors.New("the kernel cannot populate a mapping")

// Populate brings every page of the mapped files into memory. It calls progress
// on the caller's goroutine with the bytes done of FileBytes: at once, at least
// every 500 ms, and at the end, done never falling. A page that cannot be had, say since
// the file was truncated, is an *Error and never a signal.
//
// When ctx ends it returns ctx's error after at most the slice under way. Progress
// may be nil, and x too: an examination that is told what has arrived, and whose
// error ends Populate early.
func (s *Source) Populate(ctx context.Context, x *Examination, progress func(done, total int64)) error {
	if progress == nil {
		progress = func(_, _ int64) {}
	}
	total := s.FileBytes()
	var done atomic.Int64
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	finished := make(chan error, 1)
	go func() { finished <- s.populate(ctx, x, &done) }()

	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	progress(0, total)
	for {
		select {
		case err := <-finished:
			progress(done.Load(), total)
			return err
		case <-tick.C:
			progress(done.Load(), total)
		}
	}
}

func (s *Source) populate(ctx context.Context, x *Examination, done *atomic.Int64) error {
	for i := range s.Files {
		f := &s.Files[i]
		if f.mapped == nil && f.Size > 0 {
			return fileError(f.Path, "not mapped; Map comes before Populate", nil)
		}
		if err := s.populateFile(ctx, i, x, done); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) populateFile(ctx context.Context, file int, x *Examination, done *atomic.Int64) error {
	f := &s.Files[file]
	wideReads(f.mapped, true)
	defer wideReads(f.mapped, false)
	for from := 0; from < len(f.mapped); from += populateSlice {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(populateSlice, len(f.mapped)-from)
		if err := f.populate(from, n); err != nil {
			return err
		}
		done.Add(int64(n))
		if err := x.arrived(Span{file, int64(from), int64(from + n)}); err != nil {
			return err
		}
	}
	return nil
}

// populate brings one slice of the mapping into memory.
func (f *File) populate(from, n int) error {
	err := populatePages(f.mapped[from : from+n])
	if errors.Is(err, errNoPopulate) {
		return f.readThrough(int64(from), int64(n))
	}
	if err != nil {
		return f.ioError("", int64(from), err)
	}
	return nil
}

// readThrough fills the page cache, which the mapping shares, by reading the
// file. The mapping's own faults are then short ones. Touching the mapping
// itself would end the process where the file was truncated.
func (f *File) readThrough(from, n int64) error {
	buf := make([]byte, 1<<20)
	got, err := io.CopyBuffer(discard{}, io.NewSectionReader(f.f, from, n), buf)
	if err == nil && got < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return f.ioError("", from+got, err)
	}
	return nil
}

// discard is io.Discard without its ReadFrom, which would bring a buffer of its
// own of 8 KiB.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
