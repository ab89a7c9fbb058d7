package weights

import "io"

// stretchBytes is what a file is written by. The page cache keeps what is written at once
// in pages as large, up to a huge page, if it is aligned: whoever maps the file then has it
// mapped at once. 1.2 GB that were written by 4 MiB are mapped in 0.5 ms, by 64 KiB in 16.
const stretchBytes = 4 << 20

// stretches hands bytes on by whole stretches, the first from byte 0 on, so that each
// begins at a multiple of its size. (A bufio.Writer hands a long write on as it comes.)
type stretches struct {
	w   io.Writer
	now []byte // not full yet
}

func newStretches(w io.Writer) *stretches {
	return &stretches{w: w, now: make([]byte, 0, stretchBytes)}
}

// Write takes a copy of p. An error is of what was handed on.
func (s *stretches) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), cap(s.now)-len(s.now))
		s.now, p, n = append(s.now, p[:k]...), p[k:], n+k
		if len(s.now) == cap(s.now) {
			if err := s.Flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// Flush hands on what is left.
func (s *stretches) Flush() error {
	_, err := s.w.Write(s.now)
	s.now = s.now[:0]
	return err
}
