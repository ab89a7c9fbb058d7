package agent

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// probeBody is the answer of /live and /ready. Cause is there whenever ready
// is false; since is when the state, or its cause, began.
type probeBody struct {
	Ready bool   `json:"ready"`
	State string `json:"state"`
	Cause string `json:"cause,omitempty"`
	Since string `json:"since"`
}

func probeOf(s Standing) probeBody {
	cause, since := s.words()
	return probeBody{Ready: s.State.Accepts(), State: s.State.String(), Cause: cause, Since: since}
}

// live says that the process answers. It is 200 in every state but the last:
// restarting a worker that loads, drains or has lost a page makes nothing
// better, and a hung device is the watchdog's to act on. Managers without a
// watchdog ask for ?hang=fail.
func (s *Server) live(c *gin.Context) {
	status := http.StatusOK
	standing := s.machine.Standing()
	if standing.State == Stopped || standing.Cause == CauseHang && c.Query("hang") == "fail" {
		status = http.StatusServiceUnavailable
	}
	writeJSON(c, status, probeOf(standing))
}

// readiness is /health for those who want no more than the verdict.
func (s *Server) readiness(c *gin.Context) {
	standing := s.machine.Standing()
	writeJSON(c, standing.Cause.HealthStatus(), probeOf(standing))
}

// words are the cause and the time as the wire has them.
func (s Standing) words() (cause, since string) {
	return s.Cause.String(), s.Since.UTC().Format(time.RFC3339)
}

// details go into the error body of a request that was not taken.
func (s Standing) details() map[string]any {
	cause, since := s.words()
	return map[string]any{"state": s.State.String(), "cause": cause, "since": since}
}
