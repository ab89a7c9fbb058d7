package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A device inside a call that nothing interrupts must not outlast a stop.
func TestStopDoesNotWaitForALoadForEver(t *testing.T) {
	for _, c := range []struct {
		name            string
		ends, stop, cut time.Duration // 0 = never
		want            error
		returnsAfter    time.Duration
	}{
		{name: "no stop", ends: time.Hour, returnsAfter: time.Hour},
		{name: "ends soon after the stop", ends: 11 * time.Second, stop: 10 * time.Second, returnsAfter: 11 * time.Second},
		{name: "ends too late", ends: time.Hour, stop: 10 * time.Second, want: errAbandoned, returnsAfter: 12 * time.Second},
		{name: "cut", ends: time.Hour, stop: 10 * time.Second, cut: 10500 * time.Millisecond, want: errAbandoned, returnsAfter: 10500 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				after := func(d time.Duration) context.Context {
					if d == 0 {
						return t.Context()
					}
					ctx, end := context.WithTimeout(t.Context(), d)
					t.Cleanup(end)
					return ctx
				}
				began := time.Now()
				got, err := interruptible(after(c.stop), after(c.cut), loadGrace, func() (int, error) {
					time.Sleep(c.ends)
					return 7, nil
				})
				if took := time.Since(began); took != c.returnsAfter || !errors.Is(err, c.want) || (err == nil) != (got == 7) {
					t.Errorf("%d, %v after %v", got, err, took)
				}
				time.Sleep(2 * time.Hour) // the abandoned call ends, and nobody waits for its result
			})
		})
	}
}
