package agent

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// generateRequest is the body of POST /execute, before validation.
type generateRequest struct {
	JobID             string
	Prompt            string
	MaxTokens         uint32
	Temperature       float32
	Seed              uint64
	Seeded            bool // seed was given and not null
	TopP              float32
	TopK              uint32
	RepetitionPenalty float32
	Stop              []string
	MinP              float32
	CacheSalt         string
}

// requestFields names the fields in the order in which a missing one is
// reported; the first three are required.
var requestFields = [...]string{"job_id", "prompt", "max_tokens", "temperature", "seed",
	"top_p", "top_k", "repetition_penalty", "stop", "min_p", "cache_salt"}

const requiredFields = 3

// decodeGenerate reads a body, filling in defaults. Unknown keys are passed
// over; a known key given twice is refused, since two readers of such a body
// could disagree about it. Errors are *decodeError.
func decodeGenerate(body []byte) (*generateRequest, error) {
	r := &generateRequest{Temperature: 1, TopP: 1, RepetitionPenalty: 1}
	s := &scanner{data: body}
	if s.peek() != '{' {
		return nil, s.mismatch("", "struct ExecuteRequest")
	}
	seen := [len(requestFields)]bool{}
	err := s.object(func(key string) error {
		for i, name := range requestFields {
			if name != key {
				continue
			}
			if seen[i] {
				return s.data422("duplicate field `%s`", key)
			}
			seen[i] = true
			return r.member(s, key)
		}
		return s.skip()
	})
	if err != nil {
		return nil, err
	}
	for i := range requiredFields {
		if !seen[i] {
			return nil, s.data422("missing field `%s`", requestFields[i])
		}
	}
	return r, s.end()
}

// member reads the value of one known field.
func (r *generateRequest) member(s *scanner, key string) (err error) {
	var n uint64
	switch key {
	case "job_id":
		r.JobID, err = s.text(key)
	case "prompt":
		r.Prompt, err = s.text(key)
	case "max_tokens":
		n, err = s.unsigned(key, 32)
		r.MaxTokens = uint32(n)
	case "temperature":
		r.Temperature, err = s.float(key)
	case "seed":
		if s.peek() == 'n' {
			return s.literal("null")
		}
		r.Seeded = true
		r.Seed, err = s.unsigned(key, 64)
	case "top_p":
		r.TopP, err = s.float(key)
	case "top_k":
		n, err = s.unsigned(key, 32)
		r.TopK = uint32(n)
	case "repetition_penalty":
		r.RepetitionPenalty, err = s.float(key)
	case "stop":
		r.Stop, err = s.texts(key)
	case "min_p":
		r.MinP, err = s.float(key)
	case "cache_salt": // not of the contract, which passes over unknown keys: a null is as none
		if s.peek() == 'n' {
			return s.literal("null")
		}
		r.CacheSalt, err = s.text(key)
	}
	return err
}

// decodeCancel reads the body of POST /cancel.
func decodeCancel(body []byte) (jobID string, err error) {
	s := &scanner{data: body}
	if s.peek() != '{' {
		return "", s.mismatch("", "struct CancelRequest")
	}
	seen := false
	err = s.object(func(key string) (err error) {
		if key != "job_id" {
			return s.skip()
		}
		if seen {
			return s.data422("duplicate field `%s`", key)
		}
		seen = true
		jobID, err = s.text(key)
		return err
	})
	if err == nil && !seen {
		err = s.data422("missing field `job_id`")
	}
	if err != nil {
		return "", err
	}
	return jobID, s.end()
}

// limitBody gives every body a time to arrive in, also those that no handler
// reads: net/http waits for the rest of a short one before it sends the answer,
// and a refused caller must not hold a connection that way. A body that was
// read whole lifts the limit, since the stream that follows may take long.
func (s *Server) limitBody(c *gin.Context) {
	if c.Request.ContentLength != 0 {
		setReadDeadline(c, time.Now().Add(s.bodyTimeout))
	}
	// A chunked request may have come with a Content-Length as well, which net/http drops without a word. A proxy that
	// went by the length would see another request where this one ends, so nothing after it is served (RFC 9112, 6.1).
	if c.Request.ContentLength < 0 {
		c.Header("Connection", "close")
	}
}

func setReadDeadline(c *gin.Context, at time.Time) {
	// Not every writer has deadlines (a test's recorder has none); the server's has.
	_ = http.NewResponseController(c.Writer).SetReadDeadline(at)
}

// readBody returns the JSON body, or a *decodeError: 415 for another content
// type, 413 beyond the limit, 400 where it does not arrive whole in time: a
// chunked body without an end must not hold a connection for ever.
func (s *Server) readBody(c *gin.Context) ([]byte, error) {
	if !isJSON(c.GetHeader("Content-Type")) {
		return nil, &decodeError{http.StatusUnsupportedMediaType, "Expected request with `Content-Type: application/json`"}
	}
	if c.Request.ContentLength > s.maxBody {
		return nil, errBodyTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, s.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errBodyTooLarge
	case err != nil:
		c.Header("Connection", "close") // where this body ends is not known
		return nil, &decodeError{http.StatusBadRequest, "Failed to buffer the request body: it did not arrive whole"}
	}
	setReadDeadline(c, time.Time{})
	return body, nil
}

var errBodyTooLarge = &decodeError{http.StatusRequestEntityTooLarge, "Failed to buffer the request body: length limit exceeded"}

// isJSON accepts application/json and application/…+json.
func isJSON(header string) bool {
	kind, _, err := mime.ParseMediaType(header)
	if err != nil {
		return false
	}
	sub, ok := strings.CutPrefix(kind, "application/")
	return ok && (sub == "json" || strings.HasSuffix(sub, "+json"))
}
