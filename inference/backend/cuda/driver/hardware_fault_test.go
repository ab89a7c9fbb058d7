//go:build cuda

package driver_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	. "llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/driver/drivertest"
)

// A kernel that reads what is not its own loses the context: the error is sticky
// and comes again from every call. It is lost for the process, so a child does it.
func TestStickyError(t *testing.T) {
	if os.Getenv("LLORCH_TRESPASS") == "" {
		drivertest.Open(t)
		cmd := exec.Command(os.Args[0], "-test.run=^TestStickyError$", "-test.v")
		cmd.Env = append(os.Environ(), "LLORCH_TRESPASS=1")
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), "poisoned as expected") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	d := drivertest.Open(t)
	f := kernel(t, d, "trespass")
	p := sumParams{c: drivertest.Alloc(t, d, 4), n: 1}
	ok(t, d.Launch(f, 0, Blocks(1, 1), Params(&p)))
	err := d.Synchronize()
	if !IsSticky(err) {
		t.Fatalf("after an illegal access: %v", err)
	}
	if _, again := d.MemAlloc(16); !IsSticky(again) {
		t.Fatalf("the context lives on: %v", again)
	}
	t.Logf("poisoned as expected: %v", err)
	os.Exit(3) // nothing can be freed any more
}
