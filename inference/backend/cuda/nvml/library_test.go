//go:build cuda

package nvml

import (
	"errors"
	"os"
	"testing"

	"llorch/inference/backend/cuda/driver/drivertest"
)

func openLibrary(t *testing.T) Reader {
	t.Helper()
	l, err := Open()
	if err != nil {
		if Advice(err) == "" {
			t.Errorf("no advice about %v", err)
		}
		t.Skipf("not run: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestNobody(t *testing.T) {
	l := openLibrary(t)
	version, err := l.Driver()
	if version == "" || err != nil {
		t.Errorf("driver %q, %v", version, err)
	}
	if _, err := l.Find("GPU-00000000-0000-0000-0000-000000000000", ""); Code(err) == 0 {
		t.Errorf("a UUID of nobody: %v", err)
	}
}

// The card of CUDA's device 0, and that it tells of an allocation of this process.
func TestCard(t *testing.T) {
	l := openLibrary(t)
	d := drivertest.Open(t)
	id, err := d.DeviceUUID(0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Find(id.String(), "")
	if err != nil {
		t.Fatal(err)
	}
	name, err := c.Name()
	mig, migErr := c.MIG()
	t.Logf("%s %v, %+v, %+v, health %+v", name, id, mig, errors.Join(err, migErr), c.Health())
	before, err := c.Memory()
	if err != nil {
		t.Fatal(err)
	}
	own, ownErr := c.ProcessBytes(os.Getpid())
	const bytes = 512 << 20
	drivertest.Alloc(t, d, bytes)
	after, err := c.Memory()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("memory %+v, after an allocation %+v; this process %d bytes, %v", before, after, own, ownErr)
	if grown := after.Used - before.Used; grown < bytes/2 { // others may free meanwhile
		t.Errorf("used memory grew by %d, %d were allocated", grown, bytes)
	}
	if now, err := c.ProcessBytes(os.Getpid()); ownErr == nil && (err != nil || now-own < bytes || now-own > bytes+8<<20) {
		t.Errorf("this process grew by %d, %v; %d were allocated", now-own, err, bytes)
	} else if ownErr != nil && Advice(ownErr) == "" {
		t.Errorf("no advice about %v", ownErr)
	}
	if _, err := c.ProcessBytes(-1); !errors.Is(err, ErrNotListed) && Code(err) == 0 {
		t.Errorf("a process of nobody: %v", err)
	}
}
