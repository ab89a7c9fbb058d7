package agent

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

const (
	maxPromptChars = 32768 // Unicode scalars
	maxStops       = 4
	maxStopBytes   = 100
	maxSaltBytes   = 256
)

// fieldError is one entry of the 400 body's errors list.
type fieldError struct {
	Field      string  `json:"field"`
	Constraint string  `json:"constraint"`
	Message    string  `json:"message"`
	Value      *string `json:"value,omitempty"`
}

// fieldErrors collects violations in the order of the wire.
type fieldErrors []fieldError

func (e *fieldErrors) add(field, constraint string, value *string, format string, args ...any) {
	*e = append(*e, fieldError{field, constraint, field + " " + fmt.Sprintf(format, args...), value})
}

// validate checks every field and reports all that is wrong. maxTokens is the
// most a request may ask for.
func (r *generateRequest) validate(maxTokens int) fieldErrors {
	var e fieldErrors
	if r.JobID == "" {
		e.add("job_id", "non_empty", &r.JobID, "must not be empty")
	}
	e.prompt(r.Prompt)
	e.maxTokens(r.MaxTokens, maxTokens)
	e.float("temperature", r.Temperature, 2)
	e.float("top_p", r.TopP, 1)
	e.float("repetition_penalty", r.RepetitionPenalty, 2)
	e.stops(r.Stop)
	e.float("min_p", r.MinP, 1)
	if n := len(r.CacheSalt); n > maxSaltBytes {
		e.add("cache_salt", fmt.Sprintf("max_length(%d)", maxSaltBytes), nil, "must be at most %d bytes (got %d)", maxSaltBytes, n)
	}
	return e
}

func (e *fieldErrors) prompt(prompt string) {
	tag := fmt.Sprintf("length(1..=%d)", maxPromptChars)
	if prompt == "" {
		e.add("prompt", tag, nil, "must not be empty")
	}
	if n := utf8.RuneCountInString(prompt); n > maxPromptChars {
		e.add("prompt", tag, nil, "must be at most %d characters (got %d)", maxPromptChars, n)
	}
}

func (e *fieldErrors) maxTokens(n uint32, limit int) {
	tag, value := fmt.Sprintf("range(1..=%d)", limit), strconv.FormatUint(uint64(n), 10)
	if n == 0 {
		e.add("max_tokens", tag, &value, "must be at least 1 (got 0)")
	}
	if uint64(n) > uint64(limit) {
		e.add("max_tokens", tag, &value, "must be at most %d (got %d)", limit, n)
	}
}

func (e *fieldErrors) float(field string, v, limit float32) {
	tag, value := fmt.Sprintf("range(0.0..=%.1f)", limit), shortFloat(v)
	switch {
	case v < 0:
		e.add(field, tag, &value, "must be at least 0.0 (got %s)", value)
	case v > limit:
		e.add(field, tag, &value, "must be at most %.1f (got %s)", limit, value)
	}
}

func (e *fieldErrors) stops(stop []string) {
	if len(stop) > maxStops {
		value := strconv.Itoa(len(stop))
		e.add("stop", fmt.Sprintf("max_count(%d)", maxStops), &value, "must hold at most %d sequences (got %d)", maxStops, len(stop))
	}
	// A list far over the count would only repeat itself in the answer.
	for i, s := range stop[:min(len(stop), 4*maxStops)] {
		field := fmt.Sprintf("stop[%d]", i)
		if s == "" {
			e.add(field, "non_empty", nil, "must not be empty")
		}
		if len(s) > maxStopBytes {
			e.add(field, fmt.Sprintf("max_length(%d)", maxStopBytes), nil, "must be at most %d bytes (got %d)", maxStopBytes, len(s))
		}
	}
}

// shortFloat is the shortest decimal that reads back as v, without an exponent.
func shortFloat(v float32) string {
	switch {
	case math.IsInf(float64(v), 1):
		return "inf"
	case math.IsInf(float64(v), -1):
		return "-inf"
	}
	return strconv.FormatFloat(float64(v), 'f', -1, 32)
}
