package callback

// Outcome is how one call of the orchestrator ended, in a word: the state machine decides by it, metrics count it.
type Outcome string

const (
	Accepted    Outcome = "accepted"     // 2xx
	Refused     Outcome = "refused"      // a status below 500 that is none of the others
	Gone        Outcome = "gone"         // 404 or 410: this worker is not known there
	Conflict    Outcome = "conflict"     // 409: the identity belongs to another process
	Busy        Outcome = "busy"         // 408, 425 or 429: not now
	ServerError Outcome = "server_error" // 5xx
	Timeout     Outcome = "timeout"      // no whole answer in the time of an attempt
	Unreachable Outcome = "unreachable"  // no answer: name, connection
	Untrusted   Outcome = "untrusted"    // TLS could not be agreed on: certificates, versions
	Redirected  Outcome = "redirected"   // to where the call must not follow
	Forbidden   Outcome = "forbidden"    // an address that is never called
)

// Outcomes are all that are counted.
var Outcomes = [...]Outcome{Accepted, Refused, Gone, Conflict, Busy, ServerError, Timeout, Unreachable, Untrusted, Redirected, Forbidden}

// Ends that say nothing about the orchestrator, and are not counted.
const (
	abandoned Outcome = "abandoned" // we stopped the call ourselves
	nobody    Outcome = "nobody"    // nobody listens at the trial address
	unfit     Outcome = "unfit"     // no call was made: the worker takes no work at this moment
)

// passes tells whether the same call may end otherwise a little later.
func (o Outcome) passes() bool { return o == ServerError || o == Timeout || o == Unreachable }

// outcomeOf names an answer by its status.
func outcomeOf(status int) Outcome {
	switch {
	case status/100 == 2:
		return Accepted
	case status == 404 || status == 410:
		return Gone
	case status == 409:
		return Conflict
	case status == 408 || status == 425 || status == 429:
		return Busy
	case status >= 500:
		return ServerError
	}
	return Refused
}

// gravity orders outcomes by what they mean for a registration, the gravest last: of several heartbeats sent together
// the gravest counts.
func (o Outcome) gravity() int {
	switch {
	case o == Accepted:
		return 0
	case o.passes() || o == Untrusted:
		return 2
	case o == Gone:
		return 3
	case o == Conflict:
		return 4
	case o == abandoned:
		return 5
	}
	return 1
}
