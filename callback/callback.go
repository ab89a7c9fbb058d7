package callback

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"
)

// The zero values of Options.
const (
	DefaultTimeout = 5 * time.Second
	DefaultWaitMin = 250 * time.Millisecond
	// DefaultWaitMax and dialLimit together are less than 5 s: so soon after its return an orchestrator hears of a
	// worker that lost it.
	DefaultWaitMax = 2500 * time.Millisecond
)

const (
	trialAddress  = "http://localhost:9999"
	dialLimit     = 2 * time.Second // for a connection; an attempt may take longer
	farewellLimit = time.Second     // for a call while draining
)

// Options say whom to call, about what, and how long to insist.
type Options struct {
	URL           string // of the ready call
	Profile       string // of its body; empty: ProfileAuto; with ProfileNone there is no ready call
	HiveURL       string // base address that heartbeats go to; empty: none
	QueenURL      string // the same for the other kind of heartbeat
	DeregisterURL string // told of the drain; empty: nobody is

	Card  Card   // what heartbeats and the drain's calls say of the worker
	Epoch string // of this process, see NewEpoch; in every call's header
	Token string // bearer token; empty: none is sent
	Files Files  // certificates and the secret of signatures

	Timeout time.Duration // of one attempt, reply included; 0: DefaultTimeout
	Window  time.Duration // attempts of the first registration start within it; 0: for ever
	Beat    time.Duration // between heartbeats; needed where a heartbeat's URL is given
	Renew   time.Duration // between ready calls of a registered worker; 0: they are not repeated
	WaitMin time.Duration // before the second attempt, doubled before each further one; 0: DefaultWaitMin
	WaitMax time.Duration // longest wait; 0: DefaultWaitMax

	UserAgent string           // empty: net/http's own
	Log       *slog.Logger     // failed attempts and changes of state; nil: not logged
	Now       func() time.Time // nil: time.Now
	Jitter    func() float64   // from [0, 1); nil: random
	Health    func() Beat      // asked at each heartbeat, and before registering again; nil: healthy and ready
	Evidence  func() Evidence  // asked at each ready call; nil: that of Ready
	// Trace begins a span round each call and adds the headers by which the receiver continues it; end takes the call's error. nil: no spans.
	Trace     func(ctx context.Context, h http.Header) (end func(error))
	Attempted func(Outcome) // told of each call that was not stopped by us; nil: nobody
	Moved     func(State)   // told of each change of the registration; nil: nobody
}

// Client keeps one worker registered. Ready, then Keep, are called by one goroutine at a time; Drain and Drained by any.
type Client struct {
	o           Options // with the zero values filled in
	registers   target
	beats       []heart
	farewells   target
	credentials *credentials
	dial        func(ctx context.Context, network, address string) (net.Conn, error)
	trial       bool

	registration *Registration
	moved        State // the last that was told
	ready        Ready
	attempts     int   // since the last call that was accepted
	failure      error // of the last call that was not

	leaving context.Context // ends with Drain
	Drain   func()          // begins the end: the orchestrator is told at once, beside the drain itself; may be called again
	over    context.Context // ends with Drained
	end     context.CancelFunc
	report  DrainReport // written before over ends
}

// target is one address that is called.
type target struct {
	raw   string // as it was given
	url   *url.URL
	shown string // for logs and errors: without user part, query and fragment
}

// heart is one receiver of heartbeats.
type heart struct {
	target
	body func(Beat, time.Time) ([]byte, error)
}

// New checks the options. The profile none needs no URL.
func New(o Options) (*Client, error) {
	o.fill()
	c := &Client{o: o, trial: IsTrial(o.URL)}
	var err error
	if o.Profile != ProfileNone {
		if c.registers, err = newTarget(o.URL); err != nil {
			return nil, err
		}
	}
	switch o.Profile {
	case ProfileAuto:
		c.o.Profile = ProfileFor(o.URL)
	case ProfileV1, ProfileV1S, ProfileV2, ProfileNone:
	default:
		return nil, fmt.Errorf("callback: unknown profile %q: give auto, v1, v1s, v2 or none", o.Profile)
	}
	if err = c.hearts(); err != nil {
		return nil, err
	}
	if o.DeregisterURL != "" {
		if c.farewells, err = newTarget(o.DeregisterURL); err != nil {
			return nil, err
		}
	}
	if c.credentials, err = newCredentials(o.Files, o.Log); err != nil {
		return nil, err
	}
	c.dial = (&net.Dialer{Timeout: dialLimit, Control: refuseAddress}).DialContext
	c.registration = NewRegistration(Terms{
		Ready: o.Profile != ProfileNone, Draining: o.DeregisterURL != "", Window: o.Window, Beat: o.Beat, Renew: o.Renew,
		WaitMin: o.WaitMin, WaitMax: o.WaitMax, RandomPart: o.Jitter,
	})
	c.leaving, c.Drain = context.WithCancel(context.Background())
	c.over, c.end = context.WithCancel(context.Background())
	return c, nil
}

func (o *Options) fill() {
	for _, d := range []struct {
		value *time.Duration
		zero  time.Duration
	}{{&o.Timeout, DefaultTimeout}, {&o.WaitMin, DefaultWaitMin}, {&o.WaitMax, DefaultWaitMax}} {
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if o.HiveURL == "" && o.QueenURL == "" {
		o.Beat = 0
	}
	if o.Profile == "" {
		o.Profile = ProfileAuto
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Health == nil {
		o.Health = func() Beat { return Beat{Healthy: true, Status: "ready"} }
	}
	if o.Trace == nil {
		o.Trace = func(context.Context, http.Header) func(error) { return func(error) {} }
	}
	if o.Attempted == nil {
		o.Attempted = func(Outcome) {}
	}
	if o.Moved == nil {
		o.Moved = func(State) {}
	}
}

// hearts are the receivers of heartbeats.
func (c *Client) hearts() error {
	for _, h := range []struct {
		base, path string
		body       func(Beat, time.Time) ([]byte, error)
	}{{c.o.HiveURL, hivePath, c.o.Card.hiveBody}, {c.o.QueenURL, queenPath, c.o.Card.queenBody}} {
		if h.base == "" {
			continue
		}
		base, err := newTarget(h.base)
		if err != nil {
			return err
		}
		if c.o.Beat <= 0 {
			return fmt.Errorf("callback: heartbeats to %s need an interval above 0", base.shown)
		}
		t, err := newTarget(below(base.url, h.path).String())
		if err != nil {
			return err
		}
		c.beats = append(c.beats, heart{t, h.body})
	}
	return nil
}

func newTarget(raw string) (target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, fmt.Errorf("callback: the URL cannot be read: %w", bare(err))
	}
	shown := *u
	shown.User, shown.RawQuery, shown.Fragment = nil, "", ""
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return target{}, fmt.Errorf("callback: %q is not an http:// or https:// address with a host", shown.String())
	}
	return target{raw, u, shown.String()}, nil
}

// Profile is the profile in use: ProfileAuto has become the one chosen by the URL's path.
func (c *Client) Profile() string { return c.o.Profile }

// Shown is the URL of the ready call as logs may have it: without user part, query and fragment.
func (c *Client) Shown() string { return c.registers.shown }

// IsTrial tells whether a URL is the documented trial address, http://localhost:9999 with any path or none.
func IsTrial(callbackURL string) bool {
	u, err := url.Parse(callbackURL)
	return err == nil && u.Scheme == "http" && u.Host == "localhost:9999"
}
