package agent

import (
	"sync/atomic"
	"time"
)

// idleLong is the idle time after which the kernel may well have taken pages, so
// that the first request is reason to look.
const idleLong = 10 * time.Second

// idleWatch tells of the first request after a long idle time. The look at the
// pages happens beside that request, which does not wait for it.
type idleWatch struct {
	since atomic.Int64 // Unix nanoseconds; 0: requests are running, or none has come yet
	woken chan struct{}
}

// began takes the start of a request.
func (w *idleWatch) began(now time.Time) {
	since := w.since.Swap(0)
	if since == 0 || now.UnixNano()-since < int64(idleLong) {
		return
	}
	select {
	case w.woken <- struct{}{}:
	default: // it has been told and not looked yet
	}
}

// ended takes the end of the last running request.
func (w *idleWatch) ended(now time.Time) { w.since.Store(now.UnixNano()) }
