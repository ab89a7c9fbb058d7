package callback

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-cleanhttp"
	"github.com/hashicorp/go-retryablehttp"
)

// The zero values of Options.
const (
	DefaultTimeout = 5 * time.Second
	DefaultWindow  = 60 * time.Second
	DefaultWaitMin = 250 * time.Millisecond
	DefaultWaitMax = 4 * time.Second
)

const (
	trialAddress = "http://localhost:9999"
	maxRedirects = 3
)

// Options say whom to call and how long to insist.
type Options struct {
	URL       string
	Profile   string           // empty: ProfileAuto
	Token     string           // bearer token; empty: none is sent
	Timeout   time.Duration    // of one attempt, reply included; 0: DefaultTimeout
	Window    time.Duration    // attempts start within it, counted from the call of Ready; 0: DefaultWindow
	WaitMin   time.Duration    // before the second attempt, doubled before each further one; 0: DefaultWaitMin
	WaitMax   time.Duration    // longest wait; 0: DefaultWaitMax
	UserAgent string           // empty: net/http's own
	Log       *slog.Logger     // failed attempts, at WARN; nil: not logged
	Now       func() time.Time // nil: time.Now
	Jitter    func() float64   // from [0, 1); nil: random
	Attempted func(Outcome)    // told of each attempt that was not stopped by us; nil: nobody
}

// Client calls one orchestrator.
type Client struct {
	o     Options // with the zero values filled in
	url   *url.URL
	shown string // the URL for logs and errors
	trial bool
}

// New checks the options. The profile none needs no URL.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("callback: the URL cannot be read: %w", bare(err))
	}
	shown := *u
	shown.User, shown.RawQuery, shown.Fragment = nil, "", ""
	if o.Profile != ProfileNone && (u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "") {
		return nil, fmt.Errorf("callback: %q is not an http:// or https:// address with a host", shown.String())
	}
	switch o.Profile {
	case "", ProfileAuto:
		o.Profile = ProfileFor(o.URL)
	case ProfileV1, ProfileV1S, ProfileV2, ProfileNone:
	default:
		return nil, fmt.Errorf("callback: unknown profile %q: give auto, v1, v1s, v2 or none", o.Profile)
	}
	for _, d := range []struct {
		value *time.Duration
		zero  time.Duration
	}{{&o.Timeout, DefaultTimeout}, {&o.Window, DefaultWindow}, {&o.WaitMin, DefaultWaitMin}, {&o.WaitMax, DefaultWaitMax}} {
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Attempted == nil {
		o.Attempted = func(Outcome) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	return &Client{o: o, url: u, shown: shown.String(), trial: IsTrial(o.URL)}, nil
}

// Profile is the profile in use: ProfileAuto has become the one chosen by the URL's path.
func (c *Client) Profile() string { return c.o.Profile }

// Shown is the URL as logs may have it: without user part, query and fragment.
func (c *Client) Shown() string { return c.shown }

// IsTrial tells whether a URL is the documented trial address, http://localhost:9999 with any path or none.
func IsTrial(callbackURL string) bool {
	u, err := url.Parse(callbackURL)
	return err == nil && u.Scheme == "http" && u.Host == "localhost:9999"
}

// Ready reports the worker and returns nil once the orchestrator accepted it. Errors: ErrRefused, ErrRedirect,
// ErrGaveUp, ErrTrialNobody, or the context's. With ProfileNone it returns nil without a call.
func (c *Client) Ready(ctx context.Context, r Ready) error {
	if c.o.Profile == ProfileNone {
		return nil
	}
	body, err := r.body(c.o.Profile)
	if err != nil {
		return err
	}
	return c.post(ctx, body)
}

// post sends one JSON body until it is accepted, refused, or the window ends.
func (c *Client) post(ctx context.Context, body []byte) error {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, c.o.URL, body)
	if err != nil {
		return fmt.Errorf("callback: %w", bare(err))
	}
	req.Header.Set("Content-Type", "application/json")
	if c.o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.o.Token)
	}
	if c.o.UserAgent != "" {
		req.Header.Set("User-Agent", c.o.UserAgent)
	}
	transport := cleanhttp.DefaultTransport() // keeps no connection
	defer transport.CloseIdleConnections()
	p := &policy{client: c, end: c.o.Now().Add(c.o.Window)}
	h := retryablehttp.Client{
		HTTPClient:   &http.Client{Transport: transport, Timeout: c.o.Timeout, CheckRedirect: c.checkRedirect},
		RetryWaitMin: c.o.WaitMin,
		RetryWaitMax: c.o.WaitMax,
		RetryMax:     1 << 30, // the window ends it
		CheckRetry:   p.check,
		Backoff:      p.backoff,
	}
	resp, err := h.Do(req)
	if resp != nil {
		resp.Body.Close() // a reply to an accepted call is not read: it says nothing we need
	}
	switch {
	case p.final != nil:
		return p.final
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("callback: %s: %w", c.shown, context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("callback: %s: %w", c.shown, bare(err))
	}
	return nil
}

// checkRedirect follows a redirect only within the origin of the configured URL and only as a POST. Everything in the
// request is meant for that origin: the token, and the body that says where this worker can be reached.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	to := *req.URL
	to.User, to.RawQuery = nil, ""
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: %s redirects more than %d times", ErrRedirect, c.shown, maxRedirects)
	case origin(req.URL) != origin(c.url):
		return fmt.Errorf("%w: %s redirects to %s, another origin: give that address as the callback URL if it is meant",
			ErrRedirect, c.shown, to.String())
	case req.Method != http.MethodPost:
		return fmt.Errorf("%w: %s redirects to %s with a status that drops the body: only 307 and 308 are followed",
			ErrRedirect, c.shown, to.String())
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
