package driver

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		code        int
		sticky, oom bool
		class       string
	}{
		{1, false, false, "driver"},
		{CodeOutOfMemory, false, true, "oom"},
		{CodeNotInitialized, false, false, "driver"},
		{CodeUncorrectable, true, false, "ecc"},
		{220, true, false, "nvlink"},
		{CodeNotFound, false, false, "driver"},
		{CodeNotReady, false, false, "driver"},
		{CodeIllegalAddress, true, false, "kernel"},
		{702, true, false, "timeout"},
		{701, false, false, "driver"}, // too many resources asked for: the launch did not happen
		{710, true, false, "kernel"},
		{714, true, false, "kernel"},
		{715, true, false, "kernel"},
		{716, true, false, "kernel"},
		{717, true, false, "kernel"},
		{718, true, false, "kernel"},
		{CodeLaunchFailed, true, false, "launch"},
		{CodeUnknown, true, false, "driver"},
	} {
		e := NewError("cuCall", c.code)
		err := fmt.Errorf("cuda: step: %w", e)
		if e.Sticky() != c.sticky || IsSticky(err) != c.sticky || e.OOM() != c.oom || IsOOM(err) != c.oom || Code(err) != c.code {
			t.Errorf("%v: sticky %v, out of memory %v", err, e.Sticky(), e.OOM())
		}
		if e.Class() != c.class {
			t.Errorf("%v: class %s, want %s", err, e.Class(), c.class)
		}
		if c.sticky && !strings.HasPrefix(e.Name, "CUDA_ERROR_") {
			t.Errorf("%v has no name", err)
		}
	}
	if IsSticky(errors.New("x")) || IsOOM(nil) || Code(nil) != 0 {
		t.Error("an error of somebody else counts as the driver's")
	}
}

func TestParams(t *testing.T) {
	p := struct {
		A    Ptr
		N    uint32
		Step float32
	}{A: 0x0102030405060708, N: 9}
	b := Params(&p)
	if len(b) != 16 || b[0] != 8 || b[8] != 9 {
		t.Errorf("parameter block % x", b)
	}
	if b := Bytes([]uint16{1, 2}); len(b) != 4 || Bytes([]uint16(nil)) != nil {
		t.Errorf("bytes % x", b)
	}
}

func TestUUID(t *testing.T) {
	u := UUID{0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	if got, want := u.String(), "GPU-deadbeef-0102-0304-0506-0708090a0b0c"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
