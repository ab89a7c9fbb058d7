package cuda

import (
	"errors"

	"llorch/inference/backend/cuda/driver"
)

// loader copies from memory that the device cannot read, as mapped files are, through
// a ring of pinned slots: while one is on its way the next is filled.
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

// Pinning is slow (2.4 GB/s), so the ring is small: 4 slots of 8 MiB keep PCIe busy.
const slots, slotBytes = 4, 8 << 20

func newLoader(drv driver.Driver) (l *loader, err error) {
	l = &loader{drv: drv}
	if l.stream, err = drv.StreamCreate(0); err != nil {
		return l, err
	}
	for range slots {
		var s slot
		if s.pinned, err = drv.HostAlloc(slotBytes); err != nil {
			return l, err
		}
		if s.passed, err = drv.EventCreate(false); err != nil {
			return l, errors.Join(err, drv.HostFree(s.pinned))
		}
		l.slots = append(l.slots, s)
	}
	return l, nil
}

// copy copies host to p and returns when all of host has been read and is there.
func (l *loader) copy(p driver.Ptr, host []byte) error {
	for len(host) > 0 {
		s := &l.slots[l.next]
		l.next = (l.next + 1) % len(l.slots)
		if err := l.drv.EventSynchronize(s.passed); err != nil {
			return err
		}
		n := copy(s.pinned.Bytes, host)
		err := l.drv.CopyHtoDAsync(p, s.pinned.Bytes[:n], l.stream)
		if err == nil {
			err = l.drv.EventRecord(s.passed, l.stream)
		}
		if err != nil {
			return err
		}
		p, host = p+driver.Ptr(n), host[n:]
	}
	return l.drv.StreamSynchronize(l.stream)
}

func (l *loader) close() error {
	var errs []error
	for _, s := range l.slots {
		errs = append(errs, l.drv.EventDestroy(s.passed), l.drv.HostFree(s.pinned))
	}
	l.slots = nil
	if l.stream != 0 {
		errs = append(errs, l.drv.StreamDestroy(l.stream))
	}
	return errors.Join(errs...)
}
