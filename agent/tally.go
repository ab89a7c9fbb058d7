package agent

import (
	"sync/atomic"

	"llorch/callback"
)

// tally counts what becomes of requests from the first wish to stop on.
type tally struct{ completed, cut, refused atomic.Int64 }

// report is the count so far.
func (t *tally) report() callback.DrainReport {
	return callback.DrainReport{Completed: int(t.completed.Load()), Cut: int(t.cut.Load()), Refused: int(t.refused.Load())}
}

// stopping reports whether the worker has been asked to stop.
func (s *Server) stopping() bool {
	state, _ := s.machine.State()
	return state == Draining || state == Stopped
}

// endedWhileStopping counts the end of a stream; each has one.
func (s *Server) endedWhileStopping(outcome string) {
	switch {
	case !s.stopping():
	case outcome == "success":
		s.tally.completed.Add(1)
	default:
		s.tally.cut.Add(1)
	}
}

// refusedWhileStopping counts a request that came too late.
func (s *Server) refusedWhileStopping() {
	if s.stopping() {
		s.tally.refused.Add(1)
	}
}
