//go:build cuda

package cuda

import (
	"testing"

	"llorch/inference/backend"
)

// A device opens, its kernels load and run, and closing gives it back, twice.
func TestOpenContext(t *testing.T) {
	h, err := observeHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", printed(h.Findings(0)))
	if h.DriverErr != nil || len(h.Devices) == 0 {
		t.Skipf("not run: %v, %d devices", h.DriverErr, len(h.Devices))
	}
	for range 2 {
		c, err := openContext(0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.kernels.Function("no_such_kernel"); err == nil {
			t.Error("a kernel of nobody was found")
		}
		free, total, err := c.d.MemInfo()
		t.Logf("%s: %d of %d MiB free, %v", c.facts.Name, free>>20, total>>20, err)
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openContext(len(h.Devices)); err == nil {
		t.Error("one device too many was opened")
	}
}

// Registered, whatever the host is.
func TestRegistered(t *testing.T) {
	if found, ok := backend.Examine("cuda", 0); !ok || len(found) < 1 {
		t.Errorf("%v %v", found, ok)
	}
}
