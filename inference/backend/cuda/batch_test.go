package cuda

import (
	"errors"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/driver/drivertest"
	"llorch/inference/tensor"
)

// openFake opens a device over a driver that computes nothing, and checks at the end that nothing is left of it.
func openFake(t *testing.T, fake *drivertest.Fake, fail func(method string) error) *Device {
	t.Helper()
	drv := &driver.Injector{Driver: fake, Fail: fail}
	k, err := LoadKernels(drv, map[string]string{"none": ""})
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(drv, k, nil, DeviceFacts{Capability: 90})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil || len(fake.Left())+len(fake.Wrong()) > 0 {
			t.Errorf("%v; left %q, wrong %q", err, fake.Left(), fake.Wrong())
		}
	})
	return d
}

// A step whose batch finds no room fails alone: nothing of it is launched, and the room that was there serves the next.
func TestBatchWithoutRoom(t *testing.T) {
	var failing string
	launches := 0
	fake := drivertest.NewFake()
	d := openFake(t, fake, func(method string) error {
		if method == "Launch" {
			launches++
		}
		if method == failing {
			return driver.NewError(method, driver.CodeOutOfMemory)
		}
		return nil
	})
	table, err1 := d.Alloc(backend.Weights, tensor.F32, 8, 8)
	dst, err2 := d.Alloc(backend.Scratch, tensor.F32, 1, 8)
	if err := errors.Join(err1, err2, d.Sync()); err != nil {
		t.Fatal(err)
	}
	large := &backend.Batch{Tokens: []int32{1}, Positions: []int32{0}, Seqs: []backend.Seq{{Rows: 1, Pages: make([]int32, 70<<10)}}}
	small := &backend.Batch{Tokens: []int32{1}, Positions: []int32{0}, Seqs: []backend.Seq{{Rows: 1, Pages: []int32{0}}}}
	used := fake.Used()
	for _, failing = range []string{"MemAlloc", "HostAlloc"} {
		launches = 0
		d.Embed(dst, table, large)
		if err := d.Sync(); !errors.Is(err, backend.ErrMemory) || backend.IsFault(err) {
			t.Errorf("%s: %v", failing, err)
		}
		d.Embed(dst, table, small) // its words, and then the op
		if err := d.Sync(); err != nil || launches != 2 || fake.Used() != used {
			t.Errorf("%s: then %v, %d launches, %d bytes and before %d", failing, err, launches, fake.Used(), used)
		}
	}
	failing = ""
	d.Embed(dst, table, large)
	if err := d.Sync(); err != nil || fake.Used() <= used {
		t.Errorf("with room: %v", err)
	}
}

// Few words come with launches, more by one copy.
func TestBatchComes(t *testing.T) {
	calls := map[string]int{}
	d := openFake(t, drivertest.NewFake(), func(method string) error { calls[method]++; return nil })
	table, err1 := d.Alloc(backend.Weights, tensor.F32, 8, 8)
	dst, err2 := d.Alloc(backend.Scratch, tensor.F32, 1, 8)
	if err := errors.Join(err1, err2, d.Sync()); err != nil {
		t.Fatal(err)
	}
	const own = 3 + 2 + 2 // token, position, table; a tile of each of two kinds
	for _, c := range []struct{ words, launches, copies int }{
		{own + 1, 1, 0}, {launchWords, 1, 0}, {launchWords + 1, 2, 0}, {mostSet, 3, 0}, {mostSet + 1, 0, 1},
	} {
		clear(calls)
		d.Embed(dst, table, &backend.Batch{Tokens: []int32{1}, Positions: []int32{0}, Seqs: []backend.Seq{{Rows: 1, Pages: make([]int32, c.words-own)}}})
		if err := d.Sync(); err != nil || calls["Launch"] != c.launches+1 || calls["CopyHtoDAsync"] != c.copies {
			t.Errorf("%d words: %d launches and %d copies, want %d and %d, and the op; %v", c.words, calls["Launch"], calls["CopyHtoDAsync"], c.launches, c.copies, err)
		}
	}
}
