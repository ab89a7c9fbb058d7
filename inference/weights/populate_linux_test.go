package weights

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// After Populate the kernel must not gather the mapping's pages into huge ones, though it
// was asked to read by these: pages that are moved are out of the page table meanwhile.
func TestPopulateEndsWideReads(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("not run: the kernel has no transparent huge pages")
	}
	s := counted(t, 1<<20)
	if err := s.Map(); err != nil {
		t.Fatal(err)
	}
	if err := s.Populate(context.Background(), nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Regions() {
		if flags := vmFlags(t, r.Addr); !slices.Contains(flags, "nh") || slices.Contains(flags, "hg") {
			t.Errorf("%s: VmFlags %v, want nh and not hg", r.File, flags)
		}
	}
}

// vmFlags reads the flags of the mapping that begins at addr.
func vmFlags(t *testing.T, addr uintptr) []string {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	begins, in := fmt.Sprintf("%x-", addr), false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		in = in || strings.HasPrefix(line, begins)
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && in {
			return strings.Fields(flags)
		}
	}
	t.Fatalf("no mapping begins at %#x", addr)
	return nil
}
