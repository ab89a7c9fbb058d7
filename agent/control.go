package agent

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// cancel answers POST /cancel. Unknown and finished jobs get the same 202: a
// cancel that comes late or twice has reached its aim.
func (s *Server) cancel(c *gin.Context) {
	body, err := s.readBody(c)
	if err != nil {
		writeDecodeError(c, err)
		return
	}
	id, err := decodeCancel(body)
	if err != nil {
		writeDecodeError(c, err)
		return
	}
	if id == "" {
		var errs fieldErrors
		errs.add("job_id", "non_empty", &id, "must not be empty")
		writeFieldErrors(c, errs)
		return
	}
	s.cancelJob(c, id)
	writeJSON(c, http.StatusAccepted, cancelBody{id, "cancelling"})
}

type cancelBody struct {
	JobID  string `json:"job_id"`
	Status string `json:"status"`
}

func (s *Server) cancelPath(c *gin.Context) {
	s.cancelJob(c, c.Param("id"))
	writeJSON(c, http.StatusAccepted, cancelBody{c.Param("id"), "cancelling"})
}

func (s *Server) deleteInference(c *gin.Context) {
	s.cancelJob(c, c.Param("id"))
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
}

func (s *Server) cancelJob(c *gin.Context, id string) {
	found := s.jobs.cancel(id)
	s.log.Info("cancel", "job_id", logID(id), "running", found, "correlation_id", correlation(c))
}

// shutdownBody acknowledges a shutdown; timeout is the time running requests get.
type shutdownBody struct {
	Status         string `json:"status"`
	TimeoutSeconds int    `json:"timeout_seconds"`
}

// shutdown starts the drain and answers before it is over. The second caller
// gets 503 with the same body.
func (s *Server) shutdown(c *gin.Context) {
	status := http.StatusAccepted
	if !s.stop("shutdown requested over HTTP") {
		status = http.StatusServiceUnavailable
	}
	writeJSON(c, status, shutdownBody{"shutting_down", int(s.shutdownTimeout.Seconds())})
}
