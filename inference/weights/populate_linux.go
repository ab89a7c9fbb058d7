package weights

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// populatePages faults the pages of a mapping in, readable. MADV_POPULATE_READ
// (Linux 5.14) answers EFAULT where touching the page would raise SIGBUS.
func populatePages(b []byte) error {
	for {
		err := unix.Madvise(b, unix.MADV_POPULATE_READ)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			return errNoPopulate
		}
		return fmt.Errorf("populating the mapping: %w", err)
	}
}
