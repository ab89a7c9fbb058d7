//go:build cgo

package cpu

import (
	"testing"
	"unsafe"
)

// TestJoined: weights that follow each other are read as one stretch, padding included, whatever
// order they were placed in; those farther apart are not.
func TestJoined(t *testing.T) {
	all := make([]byte, 1000)
	got := joined([][]byte{all[600:700], all[100:200], all[232:300], all[300:400], all[463:500]})
	want := []struct{ from, bytes int64 }{{100, 400}, {600, 100}}
	if len(got) != len(want) {
		t.Fatalf("%d stretches: %v", len(got), got)
	}
	for i, w := range want {
		if from := int64(uintptr(got[i].addr)) - int64(uintptr(unsafe.Pointer(&all[0]))); from != w.from || got[i].bytes != w.bytes {
			t.Errorf("%d: %d bytes from %d, want %+v", i, got[i].bytes, from, w)
		}
	}
}

// TestReadLimit reads weights in parts, and none that a cache could hold.
func TestReadLimit(t *testing.T) {
	all := make([]byte, limitBytes)
	for i := 0; i < len(all); i += 4096 {
		all[i] = 1
	}
	half := joined([][]byte{all[:limitBytes/2-64], all[limitBytes/2:]})
	if gbs, err := readLimit(half, 2); err != nil || gbs != 0 {
		t.Errorf("%d stretches of too few bytes: %v %v", len(half), gbs, err)
	}
	whole := joined([][]byte{all[:limitBytes/2], all[limitBytes/2:]})
	if gbs, err := readLimit(whole, 2); err != nil || gbs < 0.5 || gbs > 1e4 {
		t.Errorf("%v GB/s, %v: no machine has that", gbs, err)
	}
}
