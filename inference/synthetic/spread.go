package synthetic

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

// spreadBytes is what one write of a spread has.
const spreadBytes = 4 << 20

// spread writes a file from several goroutines: one alone takes seconds to clear and
// fill ten gigabytes of page cache.
type spread struct {
	f      io.WriterAt
	off    int64
	now    []byte // not full yet
	full   chan stretch
	free   chan []byte
	ended  sync.WaitGroup
	failed atomic.Pointer[error]
}

// stretch is bytes and where they go.
type stretch struct {
	b   []byte
	off int64
}

func newSpread(f io.WriterAt) *spread {
	n := min(8, runtime.GOMAXPROCS(0))
	s := &spread{f: f, full: make(chan stretch, n), free: make(chan []byte, 2*n)}
	for range 2 * n {
		s.free <- make([]byte, 0, spreadBytes)
	}
	for range n {
		s.ended.Go(func() {
			for x := range s.full {
				if _, err := f.WriteAt(x.b, x.off); err != nil {
					s.failed.CompareAndSwap(nil, &err)
				}
				s.free <- x.b[:0]
			}
		})
	}
	return s
}

// Write takes a copy of p. An error may be that of bytes before.
func (s *spread) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if err := s.failed.Load(); err != nil {
			return n, *err
		}
		if s.now == nil {
			s.now = <-s.free
		}
		k := min(len(p), cap(s.now)-len(s.now))
		s.now, p, n = append(s.now, p[:k]...), p[k:], n+k
		if len(s.now) == cap(s.now) {
			s.pass()
		}
	}
	return n, nil
}

func (s *spread) pass() {
	if len(s.now) > 0 {
		s.full <- stretch{s.now, s.off}
		s.off += int64(len(s.now))
		s.now = nil
	}
}

// end writes what is left, and waits.
func (s *spread) end() error {
	s.pass()
	close(s.full)
	s.ended.Wait()
	if err := s.failed.Load(); err != nil {
		return fmt.Errorf("writing: %w", *err)
	}
	return nil
}

// create writes a file.
func create(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	s := newSpread(f)
	return errors.Join(write(s), s.end(), f.Close())
}
