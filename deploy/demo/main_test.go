package main

import (
	"strings"
	"testing"
	"time"
)

// A worker that ends at once must fail the demo at once, with the reason.
func TestAWorkerThatEndsFailsTheDemoAtOnce(t *testing.T) {
	began := time.Now()
	err := demonstrate(t.Context(), "/bin/false", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "exited with status 1") || time.Since(began) > startLimit/2 {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
