package inference

import (
	"context"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// A reader of any pace gets every event in order, and the writer never waits.
func TestOutbox(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tokens := rapid.IntRange(0, 200).Draw(rt, "tokens")
		reads := rapid.SliceOfN(rapid.IntRange(0, 5), tokens, tokens).Draw(rt, "reads after each token")
		synctest.Test(t, func(t *testing.T) {
			o, got, released := newOutbox(), 0, false
			take := func(ev Event) {
				if ev.End == nil && ev.Index != got || ev.End != nil && got != tokens {
					t.Fatalf("event %+v after %d tokens", ev, got)
				}
				got++
			}
			for i, n := range reads {
				o.send(Event{Index: i})
				for ; n > 0 && len(o.events) > 0; n-- {
					take(<-o.events)
				}
			}
			o.finish(t.Context(), Event{End: &End{}}, func() { released = true })
			for ev := range o.events {
				take(ev)
			}
			synctest.Wait()
			if got != tokens+1 || !released {
				t.Fatalf("%d of %d events, released %v", got, tokens+1, released)
			}
		})
	})
}

// Nobody reads any more and the request's context ends: the last event is there
// all the same, nothing waits, and little is kept.
func TestOutboxOfAReaderThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
		ctx, cancel := context.WithCancel(t.Context())
		o := newOutbox()
		for i := range 500 {
			o.send(Event{Index: i})
		}
		o.finish(ctx, Event{Err: ErrCancelled}, func() {})
		synctest.Wait()
		cancel()
		synctest.Wait()
		events := 0
		var last Event
		for last = range o.events {
			events++
		}
		if events != readAhead+1 || last.Err == nil {
			t.Errorf("%d events were kept, the last is %+v", events, last)
		}
	})
}
