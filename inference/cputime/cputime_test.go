package cputime

import (
	"runtime"
	"testing"
	"time"
)

// TestNow: work counts, in another goroutine too, and waiting does not.
func TestNow(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" || runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("the wall clock stands in for the processor's")
	}
	const most = 100 * time.Millisecond
	start := Now()
	time.Sleep(2 * most)
	if took := Now() - start; took > most {
		t.Errorf("sleeping took %v", took)
	}
	start = Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for Now()-start < most { // ends only if this thread's work is counted
		}
	}()
	<-done
}
