package callback

import (
	"errors"
	"net/http"
)

// Outcome is how one attempt of a call ended, in a word for metrics.
type Outcome string

const (
	Accepted    Outcome = "accepted"     // 2xx
	Refused     Outcome = "refused"      // a status below 500 that is not 2xx
	ServerError Outcome = "server_error" // 5xx
	Unreachable Outcome = "unreachable"  // no reply: name, connection, TLS, time
	Redirected  Outcome = "redirected"   // to where the call must not follow
)

// Outcomes are all there are.
var Outcomes = [...]Outcome{Accepted, Refused, ServerError, Unreachable, Redirected}

// outcomeOf names the end of a failed attempt.
func outcomeOf(resp *http.Response, err error) Outcome {
	switch {
	case errors.Is(err, ErrRedirect):
		return Redirected
	case err != nil:
		return Unreachable
	case resp.StatusCode >= 500:
		return ServerError
	}
	return Refused
}
