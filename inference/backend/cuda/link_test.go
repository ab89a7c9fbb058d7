//go:build cuda

package cuda

import (
	"debug/elf"
	_ "embed"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// calls has a line CALL(name) for each trampoline.
//
//go:embed driver/calls.h
var calls string

var driverCall = regexp.MustCompile(`^cu[A-Z]\w*$`)

// go-nvml has the linker pass over symbols that nobody defines, so a call that
// calls.h lacks would link and crash when it is made. Such a symbol is left as one
// to be found at run time: a program with both, as this test is, must have none,
// show none of its trampolines to libraries, and not be linked to the driver.
func TestTrampolinesAreComplete(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		switch {
		case !driverCall.MatchString(s.Name):
		case s.Section == elf.SHN_UNDEF:
			t.Errorf("%s has no trampoline: run scripts/cuda/calls.sh with the headers that declare it", s.Name)
		case strings.Contains(calls, "("+s.Name+")\n"):
			t.Errorf("the trampoline of %s can be seen by libraries: hide it", s.Name)
		}
	}
	libraries, err := file.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range libraries {
		if !slices.Contains([]string{"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libresolv.so.2"}, l) {
			t.Errorf("linked to %s: it would not start without that", l)
		}
	}
}
