package residency

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// area is one mapping of this process, a line of /proc/self/maps.
type area struct {
	start, end int64
	inode      uint64 // 0: anonymous
	path       string // of a file
}

// readAreas reads the mappings of this process, in the order of their addresses.
func readAreas() ([]area, error) {
	areas := []area{} // never nil: read once even if it were empty
	err := eachLine("/proc/self/maps", func(line string) {
		if a, ok := parseArea(line); ok {
			areas = append(areas, a)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotObservable, err)
	}
	return areas, nil
}

// parseArea reads "start-end permissions offset device inode  path"; the path may hold spaces.
func parseArea(line string) (a area, ok bool) {
	f := strings.SplitN(line, " ", 6)
	if len(f) < 5 {
		return a, false
	}
	low, high, ok := strings.Cut(f[0], "-")
	start, err1 := strconv.ParseInt(low, 16, 64)
	end, err2 := strconv.ParseInt(high, 16, 64) // fails on the kernel's own page at the top, which is not ours to ask about
	inode, err3 := strconv.ParseUint(f[4], 10, 64)
	if !ok || err1 != nil || err2 != nil || err3 != nil {
		return a, false
	}
	a = area{start: start, end: end, inode: inode}
	if len(f) == 6 {
		a.path = strings.TrimLeft(f[5], " ")
	}
	return a, true
}

// honest tells whether mincore answers truthfully about an area: the kernel's rule (can_do_mincore) is anonymous
// memory, or a file that we own or may write. When in doubt it is false.
func (a area) honest() bool {
	if a.inode == 0 {
		return true
	}
	if strings.HasSuffix(a.path, " (deleted)") {
		return false // removed or replaced: the path tells nothing about the mapped file
	}
	var st unix.Stat_t
	if err := unix.Stat(a.path, &st); err != nil {
		return false
	}
	fsuid, err := unix.SetfsuidRetUid(-1) // asks without a change; the kernel judges by this id
	if err == nil && uint32(fsuid) == st.Uid {
		return true
	}
	return unix.Faccessat(unix.AT_FDCWD, a.path, unix.W_OK, unix.AT_EACCESS) == nil
}
