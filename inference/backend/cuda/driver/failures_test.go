package driver

import (
	"strings"
	"testing"
)

func TestFailures(t *testing.T) {
	all, err := ParseFailures("MemAlloc@2:2,Launch@3:719")
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		method string
		code   int
	}{
		{"MemAlloc", 0}, {"Launch", 0}, {"MemAlloc", 2}, {"MemAlloc", 0}, {"Launch", 0}, {"StreamSynchronize", 0},
		{"Launch", 719}, {"Launch", 719}, {"StreamSynchronize", 719}, {"MemFree", 0}, {"ExecDestroy", 0}, {"MemAlloc", 719},
	} {
		if got := Code(all.Fail(c.method)); got != c.code {
			t.Errorf("call %d, %s: %d, not %d", i, c.method, got, c.code)
		}
	}
	if none, err := ParseFailures(""); len(none) != 0 || err != nil {
		t.Errorf("%v %v", none, err)
	}
	for _, plan := range []string{"Launch", "Launch@0:1", "Launch@1", "@1:1", "Launch@1:x", "Launch@1:719,", "Launch@-1:2"} {
		if _, err := ParseFailures(plan); err == nil || !strings.Contains(err.Error(), "give METHOD@N:CODE") {
			t.Errorf("%q: %v", plan, err)
		}
	}
}
