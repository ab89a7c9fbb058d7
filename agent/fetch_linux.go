package agent

import (
	"os"

	"golang.org/x/sys/unix"

	"llorch/residency"
)

// fetch asks the kernel to read lost pages in again. It is a wish: the next
// check tells whether it was fulfilled.
func fetch(losses []residency.Loss) {
	page := uintptr(os.Getpagesize())
	for _, l := range losses {
		from := l.Addr &^ (page - 1)
		length := l.Addr + uintptr(l.Bytes) - from
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, length, unix.MADV_POPULATE_READ)
	}
}
