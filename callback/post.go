package callback

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

const maxRedirects = 3

// Waits before a call that nobody answered is repeated; the second is twice as long.
const (
	repeatMin = 50 * time.Millisecond
	repeatMax = 150 * time.Millisecond
)

// The headers of every call beside the usual ones.
const (
	EpochHeader     = "X-Llorch-Epoch"
	SignatureHeader = "X-Llorch-Signature"
)

// post makes one call over a connection of its own, so that a name is looked up each time and a receiver that moved
// is found. Where no answer came it tries again up to repeats times. The error of an outcome other than Accepted says
// what is wrong.
func (c *Client) post(ctx context.Context, t target, body []byte, repeats int) (_ Outcome, err error) {
	m := c.credentials.load()
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, t.raw, body)
	if err != nil {
		return Refused, fmt.Errorf("callback: %w", bare(err))
	}
	c.head(req.Header, m, body)
	end := c.o.Trace(ctx, req.Header)
	defer func() { end(err) }()
	transport := &http.Transport{
		// No Proxy: what is said here is meant for one address, and a variable of the environment must not send the token elsewhere.
		DialContext: c.dial, DisableKeepAlives: true, DisableCompression: true, TLSClientConfig: m.tls, MaxResponseHeaderBytes: replyLimit,
	}
	defer transport.CloseIdleConnections()
	h := retryablehttp.Client{
		HTTPClient: &http.Client{Transport: transport, CheckRedirect: t.checkRedirect},
		RetryMax:   repeats, RetryWaitMin: repeatMin, RetryWaitMax: repeatMax, Backoff: retryablehttp.LinearJitterBackoff,
		CheckRetry: unanswered, ErrorHandler: retryablehttp.PassthroughErrorHandler, // its own error would hold the whole URL
	}
	resp, err := h.Do(req)
	if err != nil {
		return failureOf(err), fmt.Errorf("callback: %s: %w", t.shown, bare(err))
	}
	defer resp.Body.Close()
	switch o := outcomeOf(resp.StatusCode); o {
	case Accepted:
		return o, nil // the reply is not read: it says nothing we need
	case ServerError:
		return o, fmt.Errorf("callback: %s answered with status %d: %s", t.shown, resp.StatusCode, excerpt(resp.Body, c.o.Token))
	default:
		return o, &RefusedError{URL: t.shown, Status: resp.StatusCode, Reply: excerpt(resp.Body, c.o.Token)}
	}
}

// unanswered is the one reason to repeat a call at once: a connection that was refused or broke. An answer, a
// certificate and an address that is never called stay what they are.
func unanswered(ctx context.Context, _ *http.Response, err error) (bool, error) {
	return err != nil && ctx.Err() == nil && failureOf(err) == Unreachable, nil
}

func (c *Client) head(h http.Header, m material, body []byte) {
	h.Set("Content-Type", "application/json")
	if c.o.Token != "" {
		h.Set("Authorization", "Bearer "+c.o.Token)
	}
	if c.o.UserAgent != "" {
		h.Set("User-Agent", c.o.UserAgent)
	}
	if c.o.Epoch != "" {
		h.Set(EpochHeader, c.o.Epoch)
	}
	if m.secret != nil {
		h.Set(SignatureHeader, sign(m.secret, c.o.Now(), c.o.Epoch, body))
	}
}

// checkRedirect follows a redirect only within the origin of the configured URL and only as a POST. Everything in the
// request is meant for that origin: the token, and the body that says where this worker can be reached.
func (t target) checkRedirect(req *http.Request, via []*http.Request) error {
	to := *req.URL
	to.User, to.RawQuery = nil, ""
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: %s redirects more than %d times", ErrRedirect, t.shown, maxRedirects)
	case origin(req.URL) != origin(t.url):
		return fmt.Errorf("%w: %s redirects to %s, another origin: give that address as the URL if it is meant",
			ErrRedirect, t.shown, to.String())
	case req.Method != http.MethodPost:
		return fmt.Errorf("%w: %s redirects to %s with a status that drops the body: only 307 and 308 are followed",
			ErrRedirect, t.shown, to.String())
	}
	return nil
}

// origin is scheme, host and port with the scheme's own port filled in.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// refuseAddress is asked for each address that a connection is about to be opened to, after the name was looked up.
// Link-local addresses are where clouds keep the credentials of a machine; no orchestrator is there.
func refuseAddress(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrForbidden, address)
	}
	if ip := a.Addr().Unmap(); ip.IsLinkLocalUnicast() || ip.IsMulticast() {
		return fmt.Errorf("%w: %s is a link-local or multicast address", ErrForbidden, ip)
	}
	return nil
}

// failureOf names the end of an attempt without an answer.
func failureOf(err error) Outcome {
	var certificate *tls.CertificateVerificationError
	var alert *net.OpError // crypto/tls marks an alert of either side so
	var record tls.RecordHeaderError
	var timed net.Error
	switch {
	case errors.Is(err, ErrRedirect):
		return Redirected
	case errors.Is(err, ErrForbidden):
		return Forbidden
	case errors.As(err, &certificate), errors.As(err, &record),
		errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error"):
		return Untrusted
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timed) && timed.Timeout():
		return Timeout
	}
	return Unreachable
}

// unopened tells a connection that could not be opened from one that failed later. A name that resolves to an address
// family without a route fails otherwise than by refusal, and nobody listens there either.
func unopened(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && !op.Timeout()
}
