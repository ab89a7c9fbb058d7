package inference

import (
	"context"
	"slices"
	"time"
)

const (
	// readAhead is how many tokens a stream holds for its reader before they are
	// kept aside: room for a reader that is served late by its scheduler. With
	// the last event it costs 33·80 bytes a request, whatever max_tokens is.
	readAhead = 32
	// tailPoll is how often the tail of an ended stream looks for room.
	tailPoll = 2 * time.Millisecond
)

// outbox carries the events of one request to its reader and never waits for
// it: what the reader has left no room for is kept aside, at most one event for
// each token. A place is always left for the last event.
type outbox struct {
	events chan Event
	aside  []Event // the loop's, until finish
}

func newOutbox() outbox { return outbox{events: make(chan Event, readAhead+1)} }

// send hands a token on.
func (o *outbox) send(ev Event) {
	if len(o.aside) == 0 && len(o.events) < readAhead {
		o.events <- ev
		return
	}
	o.aside = append(o.aside, ev)
	o.flush()
}

// flush passes on what there is room for now. Only one goroutine at a time
// sends, so the room it sees cannot go.
func (o *outbox) flush() {
	n := 0
	for n < len(o.aside) && len(o.events) < readAhead {
		o.events <- o.aside[n]
		n++
	}
	o.aside = slices.Delete(o.aside, 0, n)
}

// finish hands on what is left and the last event, and closes the channel. A
// reader that is far behind gets the rest at its own pace until ctx, its
// request's, ends: then only the last event.
func (o *outbox) finish(ctx context.Context, last Event, done func()) {
	o.flush()
	if len(o.aside) == 0 {
		o.close(last, done)
		return
	}
	go func() {
		tick := time.NewTicker(tailPoll)
		defer tick.Stop()
		for len(o.aside) > 0 && ctx.Err() == nil {
			select {
			case <-tick.C:
				o.flush()
			case <-ctx.Done():
			}
		}
		o.close(last, done)
	}()
}

func (o *outbox) close(last Event, done func()) {
	o.events <- last
	close(o.events)
	done()
}
