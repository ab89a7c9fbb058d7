//go:build unix

package cli

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fewFiles is the number of open files below which a busy worker runs out: one
// a connection, and some for the model.
const fewFiles = 1024

// examineLimits reads the limits of this process.
func examineLimits() []finding {
	var all []finding
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		all = append(all, finding{"open files", weak, err.Error(), ""})
	} else {
		f := finding{"open files", good, fmt.Sprintf("%s at most", limit(l.Cur)), ""}
		if l.Cur < fewFiles {
			f.Grade, f.Advice = weak, fmt.Sprintf("raise the limit to %d or more (ulimit -n, LimitNOFILE)", fewFiles)
		}
		all = append(all, f)
	}
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		return append(all, finding{"memlock", weak, err.Error(), ""})
	}
	f := finding{"memlock", good, limit(l.Cur) + " bytes at most; needed for --mlock only", ""}
	if l.Cur != unix.RLIM_INFINITY {
		f.Advice = "for --mlock raise the limit above the size of the model (ulimit -l, LimitMEMLOCK=infinity)"
	}
	return append(all, f)
}

func limit(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
