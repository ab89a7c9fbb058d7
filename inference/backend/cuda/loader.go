package cuda

import (
	"errors"
	"fmt"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

var _ backend.Filler = (*Device)(nil)

// loader copies from memory that the device cannot read through a ring of pinned slots:
// while some are on their way others are filled. Its memory is there while it is needed.
type loader struct {
	drv    driver.Driver
	stream driver.Stream
	slots  []slot
	next   int
}

type slot struct {
	pinned driver.Pinned
	passed driver.Event // the last copy out of it
}

// Pinning is slow (2.4 GB/s), so the ring is small: as many pieces as are read at once,
// and some that are copied.
const slots, slotBytes = 16, backend.PieceBytes

// open makes the ring where there is none.
func (l *loader) open() (err error) {
	if l.stream == 0 {
		if l.stream, err = l.drv.StreamCreate(0); err != nil {
			return err
		}
	}
	for len(l.slots) < slots {
		var s slot
		if s.pinned, err = l.drv.HostAlloc(slotBytes); err != nil {
			return err
		}
		if s.passed, err = l.drv.EventCreate(false); err != nil {
			return errors.Join(err, l.drv.HostFree(s.pinned))
		}
		l.slots = append(l.slots, s)
	}
	return nil
}

// copy copies host to p and returns when all of host has been read and is there.
func (l *loader) copy(p driver.Ptr, host []byte) error {
	if err := l.open(); err != nil {
		return err
	}
	for len(host) > 0 {
		s := &l.slots[l.next]
		l.next = (l.next + 1) % len(l.slots)
		if err := l.drv.EventSynchronize(s.passed); err != nil {
			return err
		}
		n := copy(s.pinned.Bytes, host)
		if err := l.send(s, p, 0, n); err != nil {
			return err
		}
		if err := l.drv.EventRecord(s.passed, l.stream); err != nil {
			return err
		}
		p, host = p+driver.Ptr(n), host[n:]
	}
	return l.drv.StreamSynchronize(l.stream)
}

func (l *loader) send(s *slot, to driver.Ptr, from, bytes int) error {
	return l.drv.CopyHtoDAsync(to, s.pinned.Bytes[from:from+bytes], l.stream)
}

// Fill implements backend.Filler. Goroutines read; this one alone talks to the driver.
func (d *Device) Fill(pieces []backend.Piece, read func(i int, into []byte) error, arrived func(bytes int)) error {
	d.flush()
	if err := d.drv.StreamSynchronize(d.stream); err != nil { // Alloc clears memory in that stream
		return d.latched(fmt.Errorf("cuda: weights: %w", named(err)))
	}
	err := d.loader.open()
	if err == nil {
		err = d.loader.fill(pieces, read, arrived)
	}
	if err := errors.Join(err, d.loader.close()); err != nil { // nobody needs pinned memory any more
		return d.latched(fmt.Errorf("cuda: weights: %w", named(err)))
	}
	return nil
}

func (l *loader) fill(pieces []backend.Piece, read func(i int, into []byte) error, arrived func(bytes int)) error {
	buffers := make([][]byte, len(l.slots))
	for i := range l.slots {
		buffers[i] = l.slots[i].pinned.Bytes
	}
	f := newFeed(pieces, buffers, read)
	defer f.stop()
	var sent []reading // on their way, oldest first
	for left := len(pieces); left > 0; {
		if r, ok := f.take(len(sent) == 0); ok {
			if err := l.pass(r, pieces); err != nil {
				return err
			}
			sent = append(sent, r)
			continue
		}
		oldest := sent[0]
		if err := l.drv.EventSynchronize(l.slots[oldest.slot].passed); err != nil {
			return err
		}
		f.free <- oldest.slot
		arrived(pieces[oldest.piece].Bytes)
		sent, left = sent[1:], left-1
	}
	return l.drv.StreamSynchronize(l.stream)
}

// pass puts the copies of a piece that was read on their way.
func (l *loader) pass(r reading, pieces []backend.Piece) error {
	if r.err != nil {
		return r.err
	}
	s := &l.slots[r.slot]
	for _, c := range pieces[r.piece].Copies {
		if err := l.send(s, address(c.To)+driver.Ptr(c.At), c.From, c.Bytes); err != nil {
			return err
		}
	}
	return l.drv.EventRecord(s.passed, l.stream)
}

// close waits for what is on its way and gives everything back.
func (l *loader) close() error {
	var errs []error
	if l.stream != 0 {
		errs = append(errs, l.drv.StreamSynchronize(l.stream))
	}
	for _, s := range l.slots {
		errs = append(errs, l.drv.EventDestroy(s.passed), l.drv.HostFree(s.pinned))
	}
	l.slots, l.next = nil, 0
	if l.stream != 0 {
		errs = append(errs, l.drv.StreamDestroy(l.stream))
		l.stream = 0
	}
	return errors.Join(errs...)
}
