package agent

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"llorch/residency"
)

// fetchSlice is what is read in one call: a stop, and the end of patience, wait
// for no more.
const fetchSlice = 64 << 20

// fetch asks the kernel to read lost pages in again, until ctx ends. It is a
// wish: the next check tells whether it was fulfilled. It calls after between
// slices.
func fetch(ctx context.Context, losses []residency.Loss, after func()) {
	page := uintptr(os.Getpagesize())
	for _, l := range losses {
		end := l.Addr + uintptr(max(l.Bytes, 0))
		for from := l.Addr &^ (page - 1); from < end && ctx.Err() == nil; from += fetchSlice {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, min(fetchSlice, end-from), unix.MADV_POPULATE_READ)
			after()
		}
	}
}
