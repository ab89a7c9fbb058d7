package residency

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const testPages = 64

func openPages(t *testing.T) *Pages {
	t.Helper()
	p, err := OpenPages()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// mapFile maps a new file of n pages, none of them in memory.
func mapFile(t *testing.T, n int) ([]byte, *os.File) {
	t.Helper()
	name := filepath.Join(diskDir(t), "weights of a model") // the space is part of the test
	if err := os.WriteFile(name, bytes.Repeat([]byte("w"), n*os.Getpagesize()), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	m, err := unix.Mmap(int(f.Fd()), 0, n*os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(m) })
	evict(t, m, f)
	// Without readahead a touched page brings no neighbours, whatever the file system's block is.
	if err := unix.Madvise(m, unix.MADV_RANDOM); err != nil {
		t.Fatal(err)
	}
	return m, f
}

// diskDir is a temporary folder on a file system whose pages can be dropped, which a file system in memory cannot do.
func diskDir(t *testing.T) string {
	t.Helper()
	var st unix.Statfs_t
	dir := t.TempDir()
	if err := unix.Statfs(dir, &st); err == nil && st.Type != unix.TMPFS_MAGIC && st.Type != unix.RAMFS_MAGIC {
		return dir
	}
	dir, err := os.MkdirTemp(".", "testdata-")
	if err != nil {
		t.Fatalf("the temporary folder is in memory, and beside the sources nothing can be written: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// evict takes a file's pages out of our page table and out of the page cache.
func evict(t *testing.T, m []byte, f *os.File) {
	t.Helper()
	if err := f.Sync(); err != nil { // a dirty page cannot be dropped
		t.Fatal(err)
	}
	if err := unix.Madvise(m, unix.MADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, int64(len(m)), unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

// populate reads one byte of every page.
func populate(t *testing.T, m []byte) {
	t.Helper()
	var sum int
	for i := 0; i < len(m); i += os.Getpagesize() {
		sum += int(m[i])
	}
	if len(m) > 0 && sum == 0 { // also keeps the reads from being optimised away
		t.Fatal("the file reads as zeroes")
	}
}

// leaveHole has every page in memory but n from page from on.
func leaveHole(t *testing.T, m []byte, f *os.File, from, n int) {
	t.Helper()
	evict(t, m, f)
	page := os.Getpagesize()
	populate(t, m[:from*page])
	populate(t, m[(from+n)*page:])
}

func address(m []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(m))) }

func resident(t *testing.T, p *Pages, addr uintptr, n int64) int64 {
	t.Helper()
	got, err := p.Resident(addr, n)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFileMapping(t *testing.T) {
	p := openPages(t)
	page := os.Getpagesize()
	m, f := mapFile(t, testPages)
	all := int64(len(m))
	if got := resident(t, p, address(m), all); got != 0 {
		t.Errorf("evicted: %d bytes resident, want 0 (does the temporary folder's file system keep pages in memory?)", got)
	}
	populate(t, m)
	if got := resident(t, p, address(m), all); got != all {
		t.Errorf("populated: %d bytes resident, want %d", got, all)
	}
	// Three pages go. The claims are not aligned and lie across the hole's edges.
	leaveHole(t, m, f, 10, 3)
	hole := address(m) + uintptr(10*page)
	claims := []Claim{
		{Weights, "before", address(m) + 1, int64(9*page) - 1},
		{Weights, "into", hole - 100, 300},                           // 200 bytes of it are in the hole
		{Weights, "over", hole - 5, int64(3*page) + 10},              // all of the hole
		{Weights, "out of", hole + uintptr(3*page) - 7, int64(page)}, // 7 bytes
		{Weights, "inside", hole + 17, int64(page)},                  // whole
		{Weights, "behind", hole + uintptr(3*page), 1000},
	}
	want := map[string]int64{"into": 200, "over": int64(3 * page), "out of": 7, "inside": int64(page)}
	r := Verify(claims, Observe(p, claims))
	for _, l := range r.Losses {
		if l.Missing != want[l.Name] || l.Cause != nil {
			t.Errorf("%s misses %d bytes (%v), want %d", l.Name, l.Missing, l.Cause, want[l.Name])
		}
		delete(want, l.Name)
	}
	if r.Resident || len(want) != 0 {
		t.Errorf("resident %v, unnoticed losses %v", r.Resident, want)
	}
	populate(t, m)
	if r := Verify(claims, Observe(p, claims)); !r.Resident {
		t.Errorf("populated again: %v", r.Err())
	}
}

// A page in the page cache is in memory although our page table lost it.
func TestCachedButNotMapped(t *testing.T) {
	p := openPages(t)
	m, _ := mapFile(t, testPages)
	populate(t, m)
	if err := unix.Madvise(m, unix.MADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if got := resident(t, p, address(m), int64(len(m))); got != int64(len(m)) {
		t.Errorf("%d of %d bytes resident", got, len(m))
	}
}

func TestAnonymousMemory(t *testing.T) {
	p := openPages(t)
	page := os.Getpagesize()
	m, err := unix.Mmap(-1, 0, testPages*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	if err := unix.Madvise(m, unix.MADV_NOHUGEPAGE); err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: there are none
		t.Fatal(err)
	}
	if got := resident(t, p, address(m), int64(len(m))); got != 0 {
		t.Errorf("never touched: %d bytes resident", got)
	}
	m[5*page], m[7*page+1] = 1, 1
	if got := resident(t, p, address(m), int64(len(m))); got != int64(2*page) {
		t.Errorf("two pages touched: %d bytes resident", got)
	}
}

func TestUnmappedRange(t *testing.T) {
	p := openPages(t)
	m, _ := mapFile(t, testPages)
	populate(t, m)
	half := len(m) / 2
	if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, address(m)+uintptr(half), uintptr(half), 0); errno != 0 {
		t.Fatal(errno)
	}
	if got := resident(t, p, address(m), int64(len(m))); got != int64(half) {
		t.Errorf("half unmapped: %d bytes resident, want %d", got, half)
	}
}

// A range of more windows than one, sparse so that it costs no memory.
func TestManyWindows(t *testing.T) {
	p := openPages(t)
	page := os.Getpagesize()
	size := 2*windowPages*page + 3*page
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	if err := unix.Madvise(m, unix.MADV_NOHUGEPAGE); err != nil && !errors.Is(err, unix.EINVAL) {
		t.Fatal(err)
	}
	for _, i := range []int{0, windowPages - 1, windowPages, 2*windowPages - 1, 2 * windowPages, 2*windowPages + 2} {
		m[i*page] = 1
	}
	if got := resident(t, p, address(m)+1, int64(size-1)); got != int64(6*page-1) {
		t.Errorf("%d bytes resident, want %d", got, 6*page-1)
	}
}

func TestImpossibleRanges(t *testing.T) {
	p := openPages(t)
	for _, n := range []int64{-1, 1 << 62} {
		if got, err := p.Resident(1<<62, n); err == nil {
			t.Errorf("%d bytes: %d", n, got)
		}
	}
	if got := resident(t, p, 0x1234, 0); got != 0 {
		t.Errorf("an empty range: %d", got)
	}
}

// asStranger runs f on a thread whose file rights are those of nobody, which is what mincore judges by.
func asStranger(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to act as another user than the file's owner")
	}
	onOneThread(func() {
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		f()
	})
}

// onOneThread runs f on a thread of its own, which ends with it: rights that f changes end there.
func onOneThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: so the thread ends with the goroutine
		f()
	}()
	<-done
}

// A mapping whose file is gone keeps its pages; only the page table can tell about them.
func TestDeletedFile(t *testing.T) {
	p := openPages(t)
	m, f := mapFile(t, testPages)
	leaveHole(t, m, f, 0, 1)
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	if got, want := resident(t, p, address(m), int64(len(m))), int64(len(m)-os.Getpagesize()); got != want {
		t.Errorf("%d bytes resident, want %d", got, want)
	}
}

// The reason for reading the page table: to a stranger mincore reports every page as resident.
func TestAnotherUsersFile(t *testing.T) {
	p := openPages(t)
	m, f := mapFile(t, testPages)
	leaveHole(t, m, f, 0, testPages/2)
	asStranger(t, func() {
		vec := make([]byte, testPages)
		unix.Syscall(unix.SYS_MINCORE, address(m), uintptr(len(m)), uintptr(unsafe.Pointer(&vec[0])))
		if n := bytes.Count(vec, []byte{1}); n != testPages {
			t.Logf("this kernel answers a stranger truthfully: %d of %d pages", n, testPages)
		}
		if got, err := p.Resident(address(m), int64(len(m))); err != nil || got != int64(len(m)/2) {
			t.Errorf("%d of %d bytes resident, %v; want half", got, len(m), err)
		}
		blind := &Pages{pageSize: p.pageSize, resident: make([]bool, windowPages)}
		if got, err := blind.Resident(address(m), int64(len(m))); !errors.Is(err, ErrNotObservable) || !strings.Contains(err.Error(), f.Name()) {
			t.Errorf("without a page table: %d, %v; want not observable, and the file named", got, err)
		}
	})
}

// Without /proc/self/pagemap mincore answers for our own files.
func TestWithoutPageTable(t *testing.T) {
	p := &Pages{pageSize: int64(os.Getpagesize()), resident: make([]bool, windowPages)}
	m, f := mapFile(t, testPages)
	leaveHole(t, m, f, 3, 2)
	if got, want := resident(t, p, address(m)+10, int64(len(m))-10), int64(len(m)-10-2*os.Getpagesize()); got != want {
		t.Errorf("%d bytes resident, want %d", got, want)
	}
}

func TestParseArea(t *testing.T) {
	a, ok := parseArea("7f01a000-7f01c000 r--s 00001000 fd:01 1234                   /m/a b.safetensors (deleted)")
	if !ok || a != (area{0x7f01a000, 0x7f01c000, 1234, "/m/a b.safetensors (deleted)"}) || a.honest() {
		t.Errorf("%+v, %v", a, ok)
	}
	if a, ok := parseArea("7f01a000-7f01c000 rw-p 00000000 00:00 0 "); !ok || a.path != "" || !a.honest() {
		t.Errorf("%+v, %v", a, ok)
	}
	for _, line := range []string{"", "x", "7f-80 r", "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]", "zz-80 r 0 0 0 x"} {
		if a, ok := parseArea(line); ok {
			t.Errorf("%q gave %+v", line, a)
		}
	}
}
