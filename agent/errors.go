package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"llorch/inference"
)

// errorBody is the JSON error of everything that has no older body of its own.
type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code          string         `json:"code"`
	Message       string         `json:"message"`
	Retriable     *bool          `json:"retriable,omitempty"`
	SlotsTotal    *int           `json:"slots_total,omitempty"`
	SlotsBusy     *int           `json:"slots_busy,omitempty"`
	Details       map[string]any `json:"details,omitempty"`
	CorrelationID string         `json:"correlation_id,omitempty"`
}

// refusal is how a request that never started is answered.
type refusal struct {
	is        error
	status    int
	code      string
	retriable bool
	reason    string // label of the refusals counter
}

// refusals is the one table from errors of Generate to HTTP; the first match
// counts, the last line takes what is left.
var refusals = [...]refusal{
	{inference.ErrTooLong, http.StatusBadRequest, "INVALID_REQUEST", false, "too_long"},
	{inference.ErrBusy, http.StatusServiceUnavailable, codeBusy, true, "busy"}, // the status is the dialect's
	{inference.ErrBusyTokens, http.StatusServiceUnavailable, codeBusy, true, "busy_tokens"},
	{inference.ErrDeadlineUnmet, http.StatusRequestTimeout, "DEADLINE_UNMET", true, "deadline"},
	{inference.ErrDuplicate, http.StatusConflict, "INVALID_REQUEST", false, "duplicate"},
	{inference.ErrDraining, http.StatusServiceUnavailable, "WORKER_UNHEALTHY", false, "not_ready"},
	{inference.ErrClosed, http.StatusServiceUnavailable, "WORKER_UNHEALTHY", false, "not_ready"},
	{inference.ErrTimeout, http.StatusRequestTimeout, "INFERENCE_TIMEOUT", true, "timeout"},
	{inference.ErrCancelled, statusClientClosed, "CANCELLED", false, "cancelled"},
	{context.Canceled, statusClientClosed, "CANCELLED", false, "cancelled"},
	{nil, http.StatusInternalServerError, "INTERNAL", true, "internal"},
}

// statusClientClosed is the customary status for a caller that went away.
const statusClientClosed = 499

func refusalOf(err error) refusal {
	last := len(refusals) - 1
	for _, r := range refusals[:last] {
		if errors.Is(err, r.is) {
			return r
		}
	}
	r := refusals[last]
	var e *inference.Error
	if errors.As(err, &e) {
		r.code, r.retriable = string(e.Code), e.Retriable
		if e.Code == inference.CodeInvalidRequest {
			r.status, r.reason = http.StatusBadRequest, "invalid"
		}
		if e.Code == inference.CodeUnhealthy {
			r.status, r.reason = http.StatusServiceUnavailable, "not_ready"
		}
	}
	return r
}

// codeBusy refuses for want of room, whatever there is no room for: pool clients
// know this word and try again.
const codeBusy = "ALL_SLOTS_BUSY"

// refuse answers a request that the engine did not take.
func (s *Server) refuse(c *gin.Context, d dialect, deadline time.Time, err error) {
	r := refusalOf(err)
	if r.code == codeBusy {
		r.status = d.overload
	}
	s.metrics.refused(r.reason)
	if r.reason == "not_ready" {
		s.refusedWhileStopping()
	}
	s.log.Warn("request refused", "status", r.status, "code", r.code, "error", err, "correlation_id", correlation(c))
	var e *inference.Error
	typed := errors.As(err, &e)
	switch {
	case r.code == codeBusy:
		s.allBusy(c, r.status, e)
	case errors.Is(err, inference.ErrDeadlineUnmet):
		setRetryAfter(c, e)
		writeJSON(c, r.status, deadlineBody{
			Code: r.code, Message: messageOf(err), Deadline: deadline.UTC().Format(time.RFC3339Nano), Retriable: r.retriable,
		})
	case typed && e.Field != "":
		writeFieldErrors(c, fieldErrors{{Field: e.Field, Constraint: s.constraintOf(err), Message: e.Field + ": " + e.Err.Error()}})
	default:
		var details map[string]any
		if standing := s.machine.Standing(); r.reason == "not_ready" && standing.Cause != CauseNone {
			details = standing.details()
		}
		writeError(c, r.status, r.code, messageOf(err), &r.retriable, details)
	}
}

func (s *Server) constraintOf(err error) string {
	if v := s.serving.Load(); v != nil && errors.Is(err, inference.ErrTooLong) {
		return fmt.Sprintf("context_length(%d)", v.info.ContextLength)
	}
	return "valid"
}

// allBusy answers with the body that pool clients know.
func (s *Server) allBusy(c *gin.Context, status int, e *inference.Error) {
	st := s.serving.Load().engine.Stats()
	setRetryAfter(c, e)
	writeJSON(c, status, errorBody{Error: errorDetail{
		Code: codeBusy, Message: messageOf(e) + ": try again later", SlotsTotal: &st.SlotsTotal, SlotsBusy: &st.SlotsBusy,
	}})
}

// maxRetryAfter bounds what a caller is told to wait, in seconds: by then the
// estimate has gone stale, and a pool may have more workers.
const maxRetryAfter = 60

// setRetryAfter tells a caller when to come back, as the engine has measured: in
// whole seconds, one at least.
func setRetryAfter(c *gin.Context, e *inference.Error) {
	wait := time.Duration(0)
	if e != nil {
		wait = e.RetryAfter
	}
	c.Header("Retry-After", strconv.Itoa(int(min(max(math.Ceil(wait.Seconds()), 1), maxRetryAfter))))
}

// messageOf is the reason without our package prefixes, which mean nothing to a caller.
func messageOf(err error) string {
	var e *inference.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

func writeError(c *gin.Context, status int, code, message string, retriable *bool, details map[string]any) {
	writeJSON(c, status, errorBody{Error: errorDetail{
		Code: code, Message: message, Retriable: retriable, Details: details, CorrelationID: correlation(c),
	}})
}

func writeFieldErrors(c *gin.Context, errs fieldErrors) {
	writeJSON(c, http.StatusBadRequest, map[string]fieldErrors{"errors": errs})
}

// writeDecodeError answers with the text body that a refused body has always had.
func writeDecodeError(c *gin.Context, err error) {
	var e *decodeError
	if !errors.As(err, &e) {
		e = &decodeError{http.StatusBadRequest, err.Error()}
	}
	c.Header("Content-Type", "text/plain; charset=utf-8")
	c.Status(e.status)
	writeBody(c, []byte(e.text))
}

// writeJSON writes v as encoding/json does, but with < > & as they are.
func writeJSON(c *gin.Context, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // a type that cannot be encoded is a bug of ours
		panic(fmt.Sprintf("agent: encode %T: %v", v, err))
	}
	c.Header("Content-Type", "application/json")
	c.Status(status)
	writeBody(c, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// writeBody writes the whole body. A failure means that the client left, which
// nobody is there to be told of.
func writeBody(c *gin.Context, body []byte) { _, _ = c.Writer.Write(body) }
