package residency

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// pagemapScan is PAGEMAP_SCAN of Linux 6.7, _IOWR('f', 16, struct pm_scan_arg) (linux/fs.h): it finds pages by what the
// page table says of them, a fifth of the work of reading its entries.
const pagemapScan = 3<<30 | unsafe.Sizeof(scanArgs{})<<16 | 'f'<<8 | 16

// scanPresent is PAGE_IS_PRESENT: presentBit of an entry.
const scanPresent = 1 << 3

// scanArgs is struct pm_scan_arg.
type scanArgs struct {
	size, flags, start, end, walkEnd, regions, regionsLen, maxPages uint64
	inverted, wantedAll, wantedAny, returned                        uint64
}

// scanRegion is struct page_region: pages [start, end) that follow each other.
type scanRegion struct{ start, end, categories uint64 }

// whole tells whether all pages [start, end) are in our page table. It is false, too, where the system cannot say so at
// once.
func (p *Pages) whole(start, end int64) bool {
	if p.pagemap == nil || p.scansNot || start >= end {
		return false
	}
	args := scanArgs{
		size: uint64(unsafe.Sizeof(scanArgs{})), start: uint64(start), end: uint64(end),
		regions: uint64(uintptr(unsafe.Pointer(&p.found))), regionsLen: 1, wantedAll: scanPresent, returned: scanPresent,
	}
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, p.pagemap.Fd(), pagemapScan, uintptr(unsafe.Pointer(&args)))
	p.scansNot = errno == unix.ENOTTY || errno == unix.EINVAL
	return errno == 0 && n == 1 && p.found.start == uint64(start) && p.found.end == uint64(end)
}
