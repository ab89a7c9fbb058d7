package callback

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

var (
	// ErrRefused: the receiver answered and will not accept this worker. The error is a *RefusedError.
	ErrRefused = errors.New("callback: refused")
	// ErrRedirect: the receiver redirects to where the call must not go.
	ErrRedirect = errors.New("callback: redirect refused")
	// ErrForbidden: the name leads to an address that is never called.
	ErrForbidden = errors.New("callback: address refused")
	// ErrDeregistered: a worker that was registered is no longer wanted; the error says who said so and how.
	ErrDeregistered = errors.New("callback: deregistered by the orchestrator")
	// ErrGaveUp: the spawn window ended without an answer that counts; it wraps the last failure.
	ErrGaveUp = errors.New("callback: gave up")
	// ErrTrialNobody: nobody listens at the trial address; the worker may serve standalone.
	ErrTrialNobody = errors.New("callback: nobody listens at the trial address " + trialAddress)
)

// RefusedError is a final answer: a 4xx, or a 3xx without a place to go to.
type RefusedError struct {
	URL    string // without user part and query
	Status int
	Reply  string // the beginning of the reply, printable
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("callback: %s refused this worker with status %d: %s", e.URL, e.Status, e.Reply)
}

// Unwrap lets errors.Is find ErrRefused.
func (e *RefusedError) Unwrap() error { return ErrRefused }

const (
	replyLimit   = 64 << 10 // bytes read of a reply
	excerptLimit = 256      // bytes of it shown
)

// excerpt returns the beginning of a failed reply for a human: one line, printable, and without the token, which some
// receivers echo. The reply is read up to replyLimit so that an echoed token is whole and found.
func excerpt(body io.Reader, token string) string {
	raw, _ := io.ReadAll(io.LimitReader(body, replyLimit)) // a cut reply still says something
	text := string(raw)
	if token != "" {
		text = strings.ReplaceAll(text, token, "[token]")
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	more := ""
	if len(text) > excerptLimit {
		text, more = strings.ToValidUTF8(text[:excerptLimit], ""), " …"
	}
	return fmt.Sprintf("%q%s", text, more)
}

// bare strips the request's URL, which may hold a password or a key, from an error of net/http.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
