package agent

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// deadlineHeaders are the names in use; each carries either form.
var deadlineHeaders = [...]string{"X-Deadline", "X-Request-Deadline"}

// requestDeadline returns the moment a request must be over: the earliest of
// its headers and of now + limit. A caller can shorten its time, never extend
// it. Zero means no deadline (limit 0 and no header). given is the header's
// text where a header decided, for the answer that repeats it. A header that
// cannot be read is reported and has no effect: the old worker ignored all of them.
func requestDeadline(h http.Header, now time.Time, limit time.Duration) (at time.Time, given string, err error) {
	if limit > 0 {
		at = now.Add(limit)
	}
	for _, name := range deadlineHeaders {
		v := strings.TrimSpace(h.Get(name))
		if v == "" {
			continue
		}
		t, bad := parseDeadline(v)
		if bad != nil {
			err = fmt.Errorf("agent: header %s: %w", name, bad)
			continue
		}
		if at.IsZero() || t.Before(at) {
			at, given = t, v
		}
	}
	return at, given, err
}

// parseDeadline reads Unix milliseconds or an ISO-8601 time with its zone.
func parseDeadline(v string) (time.Time, error) {
	if ms, err := strconv.ParseInt(v, 10, 64); err == nil {
		return time.UnixMilli(ms), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%.40q is neither Unix milliseconds nor ISO-8601", v)
}
