package residency

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// windowPages bounds what is asked at once: 512 KiB of page-table entries, 256 MiB of memory in pages of 4 KiB.
const windowPages = 64 << 10

// presentBit of a pagemap entry: the page is in memory and in our page table (admin-guide/mm/pagemap.rst).
const presentBit = 1 << 63

// Pages is the probe of this process's own memory. It never touches the memory it is asked about. It is not safe for
// concurrent use.
type Pages struct {
	pageSize int64
	pagemap  *os.File   // nil where the system has none: mincore alone answers then
	scansNot bool       // the system has no PAGEMAP_SCAN
	found    scanRegion // on the heap, since the kernel is told its address as a number
	entries  []byte
	resident []bool
}

// OpenPages opens the probe; Close it.
func OpenPages() (*Pages, error) {
	p := &Pages{pageSize: int64(os.Getpagesize()), entries: make([]byte, 8*windowPages), resident: make([]bool, windowPages)}
	f, err := os.Open("/proc/self/pagemap")
	if err == nil {
		p.pagemap = f
	} else if _, err := os.Stat("/proc/self/maps"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotObservable, err)
	}
	return p, nil
}

// Close ends the probe.
func (p *Pages) Close() error {
	if p.pagemap == nil {
		return nil
	}
	return p.pagemap.Close()
}

// Resident returns how many of the n bytes from addr lie on pages in memory. Addresses without a mapping are not
// resident. The error wraps ErrNotObservable where the system gives no answer that can be relied on.
func (p *Pages) Resident(addr uintptr, n int64) (int64, error) {
	if n < 0 || uint64(addr) > math.MaxInt64-uint64(n)-windowPages*uint64(p.pageSize) {
		return 0, fmt.Errorf("residency: %d bytes at %#x are not a range of a process", n, addr)
	}
	start, end := int64(addr), int64(addr)+n
	if p.whole(start&^(p.pageSize-1), (end+p.pageSize-1)&^(p.pageSize-1)) {
		return n, nil
	}
	var held int64
	var areas []area // read only when a page is absent
	for page := start &^ (p.pageSize - 1); page < end; page += windowPages * p.pageSize {
		count := min(windowPages, (end-page+p.pageSize-1)/p.pageSize)
		seen := p.resident[:count]
		absent, err := p.fromPageTable(page, seen)
		if err != nil {
			return 0, err
		}
		if absent {
			if areas == nil {
				if areas, err = readAreas(); err != nil {
					return 0, err
				}
			}
			if err := p.fromCache(page, seen, areas); err != nil {
				return 0, err
			}
		}
		for i, in := range seen {
			if at := page + int64(i)*p.pageSize; in {
				held += min(at+p.pageSize, end) - max(at, start)
			}
		}
	}
	return held, nil
}

// fromPageTable marks the pages that are in our page table; absent tells that some are not.
func (p *Pages) fromPageTable(page int64, seen []bool) (absent bool, err error) {
	clear(seen)
	if p.pagemap == nil {
		return true, nil
	}
	raw := p.entries[:8*len(seen)]
	n, err := p.pagemap.ReadAt(raw, page/p.pageSize*8)
	if err != nil && !errors.Is(err, io.EOF) { // the file ends at the top of the address space
		return false, fmt.Errorf("%w: %w", ErrNotObservable, err)
	}
	for i := range seen {
		seen[i] = 8*i+8 <= n && binary.NativeEndian.Uint64(raw[8*i:])&presentBit != 0
		absent = absent || !seen[i]
	}
	return absent, nil
}

// fromCache marks, of the pages not seen yet, those that mincore finds in memory, in areas where it tells the truth.
func (p *Pages) fromCache(page int64, seen []bool, areas []area) error {
	end := page + int64(len(seen))*p.pageSize
	for _, a := range areas {
		from, to := max(page, a.start), min(end, a.end)
		if from >= to {
			continue
		}
		part := seen[(from-page)/p.pageSize : (to-page)/p.pageSize]
		if !anyFalse(part) {
			continue
		}
		if !a.honest() {
			if p.pagemap == nil {
				return fmt.Errorf("%w: there is no /proc/self/pagemap, and mincore does not tell about %s, "+
					"which this user neither owns nor may write", ErrNotObservable, a.path)
			}
			continue // the page table's word stands
		}
		vec := make([]byte, len(part))
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(from), uintptr(to-from), uintptr(unsafe.Pointer(&vec[0])))
		if errno == unix.ENOMEM {
			continue // unmapped meanwhile
		}
		if errno != 0 {
			return fmt.Errorf("%w: mincore of %d bytes at %#x: %w", ErrNotObservable, to-from, from, errno)
		}
		for i, v := range vec {
			part[i] = part[i] || v&1 != 0
		}
	}
	return nil
}

func anyFalse(seen []bool) bool {
	for _, s := range seen {
		if !s {
			return true
		}
	}
	return false
}
