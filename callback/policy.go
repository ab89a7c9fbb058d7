package callback

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// policy judges the attempts of one call: it is the CheckRetry and the Backoff of its retryablehttp.Client.
type policy struct {
	client  *Client
	end     time.Time // of the window
	attempt int
	final   error // why no further attempt is made; nil after success
}

// check logs a failed attempt and decides whether another follows.
func (p *policy) check(ctx context.Context, resp *http.Response, err error) (bool, error) {
	p.attempt++
	failure, again := p.judge(ctx, resp, err)
	if failure == nil {
		p.client.o.Attempted(Accepted)
		return false, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err() // stopped by us, not a failure of the receiver
	}
	p.client.o.Attempted(outcomeOf(resp, err))
	if p.client.trial && nobody(err) {
		p.final = fmt.Errorf("%w: %w", ErrTrialNobody, failure)
		return false, nil
	}
	open := p.client.o.Now().Before(p.end)
	p.client.o.Log.WarnContext(ctx, "callback attempt failed",
		"callback_url", p.client.shown, "attempt", p.attempt, "retry", again && open, "error", failure.Error())
	switch {
	case again && open:
		return true, nil
	case again:
		p.final = fmt.Errorf("%w: %s did not accept this worker within %v (%d attempts): %w",
			ErrGaveUp, p.client.shown, p.client.o.Window, p.attempt, failure)
	default:
		p.final = failure
	}
	return false, nil
}

// judge returns what is wrong with an attempt, nil if it was accepted, and whether another may end differently.
func (p *policy) judge(ctx context.Context, resp *http.Response, err error) (failure error, again bool) {
	c := p.client
	switch {
	case errors.Is(err, ErrRedirect):
		return bare(err), false
	case err != nil:
		// The library knows the errors that no repetition mends: certificates and malformed headers.
		again, _ = retryablehttp.DefaultRetryPolicy(ctx, nil, err)
		return fmt.Errorf("callback: %s: %w", c.shown, bare(err)), again
	case resp.StatusCode/100 == 2:
		return nil, false
	case resp.StatusCode >= 500:
		return fmt.Errorf("callback: %s answered with status %d: %s", c.shown, resp.StatusCode, excerpt(resp.Body, c.o.Token)), true
	}
	return &RefusedError{URL: c.shown, Status: resp.StatusCode, Reply: excerpt(resp.Body, c.o.Token)}, false
}

// backoff doubles the wait from low to high and takes a random share of its upper half, so that workers started
// together do not come back together. The last wait ends with the window.
func (p *policy) backoff(low, high time.Duration, attempt int, _ *http.Response) time.Duration {
	wait := high
	if attempt < 32 && low<<attempt < high && low<<attempt > 0 {
		wait = low << attempt
	}
	wait = wait/2 + time.Duration(p.client.o.Jitter()*float64(wait-wait/2))
	return max(0, min(wait, p.end.Sub(p.client.o.Now())))
}
