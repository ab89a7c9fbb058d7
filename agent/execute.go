package agent

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"llorch/inference"
	"llorch/inference/sample"
)

// dialect is how a route speaks with its clients.
type dialect struct {
	done     bool // a [DONE] line follows the last frame
	overload int  // status of a refusal for want of room: 503, or 429 for clients that know that one
}

// execute answers the routes that generate. Refusals come in the order in which
// they cost least: state, deadline, body, fields, engine.
func (s *Server) execute(d dialect) gin.HandlerFunc {
	return func(c *gin.Context) {
		if standing := s.machine.Standing(); !standing.State.Accepts() || s.serving.Load() == nil {
			s.notReady(c, standing)
			return
		}
		deadline, given, err := requestDeadline(c.Request.Header, s.now(), s.timeout)
		if err != nil {
			s.log.Warn("deadline ignored", "error", err, "correlation_id", correlation(c))
		}
		if given != "" && !s.now().Before(deadline) {
			s.expired(c, given)
			return
		}
		body, err := s.readBody(c)
		if err != nil {
			s.undecodable(c, err)
			return
		}
		r, err := decodeGenerate(body)
		if err != nil {
			s.undecodable(c, err)
			return
		}
		if errs := r.validate(s.maxTokens); len(errs) > 0 {
			s.metrics.refused("invalid")
			writeFieldErrors(c, errs)
			return
		}
		s.generate(c, d, r, deadline)
	}
}

func (s *Server) undecodable(c *gin.Context, err error) {
	s.metrics.refused("invalid")
	writeDecodeError(c, err)
}

// notReady tells a caller that came too early or too late how far the worker is.
func (s *Server) notReady(c *gin.Context, standing Standing) {
	s.metrics.refused("not_ready")
	s.refusedWhileStopping()
	state, details := standing.State, standing.details()
	if state.loading() {
		c.Header("Retry-After", "1")
		details["progress"] = s.machine.Progress()
	}
	no := false
	writeError(c, http.StatusServiceUnavailable, "WORKER_UNHEALTHY", "the worker takes no requests: it is "+state.String(), &no, details)
}

// deadlineBody has the field names that callers of the deadline header know.
type deadlineBody struct {
	Code      string `json:"error_code"`
	Message   string `json:"message"`
	Deadline  string `json:"deadline"`
	Retriable bool   `json:"retriable"`
}

func (s *Server) expired(c *gin.Context, given string) {
	s.metrics.refused("timeout")
	writeJSON(c, http.StatusRequestTimeout, deadlineBody{
		Code: "REQUEST_TIMEOUT", Message: "the deadline had passed before the request began", Deadline: given, Retriable: true,
	})
}

// generate runs a valid request and streams its answer.
func (s *Server) generate(c *gin.Context, d dialect, r *generateRequest, deadline time.Time) {
	ctx, cancel := context.WithCancelCause(c.Request.Context())
	defer cancel(nil)
	if !deadline.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadlineCause(ctx, deadline, inference.ErrTimeout)
		defer stop()
	}
	entry, ok := s.jobs.add(r.JobID, cancel)
	if !ok {
		s.refuse(c, d, deadline, &inference.Error{Code: inference.CodeInvalidRequest, Err: inference.ErrDuplicate})
		return
	}
	defer entry.release()
	request := r.engineRequest(entry.run, deadline)
	serving, arrived := s.serving.Load(), s.now()
	events, err := serving.engine.Generate(ctx, request)
	if err != nil {
		s.refuse(c, d, deadline, err)
		return
	}
	x := &exchange{
		server: s, job: entry, info: serving.info, arrived: arrived, began: s.now(), maxTokens: request.MaxTokens,
		ctx: ctx, cancel: cancel, correlation: correlation(c), stream: s.openStream(c),
		mirror: s.metrics.mirror.Load(), release: watchRelease(ctx, s.metrics.release), span: spanOf(c),
	}
	x.start(request, c.GetString(identityKey))
	x.finish(x.relay(events), d.done)
}

// engineRequest turns the body into what the engine takes, under the id run. A seed that was not
// given is drawn here, so that the log can tell it and the run be repeated.
func (r *generateRequest) engineRequest(run string, deadline time.Time) inference.Request {
	if !r.Seeded {
		var b [8]byte
		rand.Read(b[:])
		r.Seed = binary.LittleEndian.Uint64(b[:])
	}
	return inference.Request{
		ID: run, Prompt: r.Prompt, MaxTokens: int(r.MaxTokens), Stop: r.Stop, Deadline: deadline, CacheSalt: r.CacheSalt,
		Sampling: sample.Params{
			Temperature: r.Temperature, TopP: r.TopP, TopK: int(min(r.TopK, 1<<30)), MinP: r.MinP,
			RepetitionPenalty: r.RepetitionPenalty, Seed: r.Seed,
		},
	}
}
