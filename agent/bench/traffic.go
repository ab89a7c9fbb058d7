package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Traffic is an open loop: requests arrive by the clock, whether those before
// them are served or not, as those of many independent users do.
type Traffic struct {
	Streams int     // requests in all; 0 = 32
	Rate    float64 // that arrive in a second; 0 = 1
	Even    bool    // at even distances, instead of those of a Poisson process
	Seed    uint64  // of the distances
	Prompt  int     // letters of each prompt; 0 = 128
	Tokens  int     // of each answer; 0 = 64

	// A request is good when its first token came within TTFT of its arrival and
	// the others within TPOT of each other in the mean. 0 = 2 s, 200 ms.
	TTFT, TPOT time.Duration
}

func (t Traffic) withDefaults() Traffic {
	if t.Streams <= 0 {
		t.Streams = 32
	}
	if t.Rate <= 0 {
		t.Rate = 1
	}
	if t.Prompt <= 0 {
		t.Prompt = 128
	}
	if t.Tokens <= 0 {
		t.Tokens = 64
	}
	if t.TTFT <= 0 {
		t.TTFT = 2 * time.Second
	}
	if t.TPOT <= 0 {
		t.TPOT = 200 * time.Millisecond
	}
	return t
}

// arrivals returns when each request comes, counted from the first.
func (t Traffic) arrivals() []time.Duration {
	r := rand.New(rand.NewPCG(t.Seed, 0))
	at, all := 0.0, make([]time.Duration, t.Streams)
	for i := range all {
		all[i] = time.Duration(at * float64(time.Second))
		if t.Even {
			at = float64(i+1) / t.Rate
		} else {
			at += r.ExpFloat64() / t.Rate
		}
	}
	return all
}

// Served is what the clients of an open loop saw.
type Served struct {
	Model           string         `json:"model"`
	Streams         int            `json:"streams"`
	Rate            float64        `json:"arrivals_per_second"` // as asked for
	Even            bool           `json:"even"`
	Prompt          int            `json:"prompt_letters"`
	Tokens          int            `json:"tokens_each"`
	Wall            time.Duration  `json:"wall_ns"`     // from the first arrival to the last frame
	Late            time.Duration  `json:"late_ns"`     // that a request was sent at most after its arrival
	Completed       int            `json:"completed"`   // streams that ended well
	Errors          map[string]int `json:"errors"`      // the others, by HTTP status or code
	TTFT            Quantiles      `json:"ttft"`        // from arrival, of streams with a token
	Between         Quantiles      `json:"inter_token"` // all distances between tokens of a stream
	TokensSec       float64        `json:"tokens_per_second"`
	TTFTLimit       time.Duration  `json:"slo_ttft_ns"`
	TPOTLimit       time.Duration  `json:"slo_tpot_ns"`
	Good            int            `json:"good"` // completed within both limits
	GoodRequestsSec float64        `json:"good_requests_per_second"`
	GoodTokensSec   float64        `json:"good_tokens_per_second"`
}

// request is one arrival and what became of it.
type request struct {
	due, sent time.Time
	answer    answer
	err       error
}

// Serve starts the worker's process and drives it. o.Spawn must be set; of o
// only Model, Spawn and Progress count.
func Serve(ctx context.Context, o Options, t Traffic) (*Served, error) {
	t = t.withDefaults()
	w, err := o.Spawn.start(ctx, o.Model)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	a, err := w.execute(ctx, "warm-up", randomLetters(t.Prompt), t.Tokens)
	if err = a.served(err); err != nil {
		return nil, fmt.Errorf("bench: the first request: %w", err)
	}
	o.say("%d streams, %.3g a second", t.Streams, t.Rate)
	requests, wall := w.drive(ctx, t)
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	s := account(t, requests, wall)
	s.Model = o.Model
	return s, nil
}

// drive sends every request when it is due.
func (w *worker) drive(ctx context.Context, t Traffic) ([]request, time.Duration) {
	requests := make([]request, t.Streams)
	var all sync.WaitGroup
	began := time.Now()
	for i, at := range t.arrivals() {
		r := &requests[i]
		r.due = began.Add(at)
		prompt := randomLetters(t.Prompt)
		if !sleepUntil(ctx, r.due) {
			break
		}
		all.Go(func() {
			r.sent = time.Now()
			r.answer, r.err = w.execute(ctx, fmt.Sprintf("stream-%d", i), prompt, t.Tokens)
		})
	}
	all.Wait()
	return requests, time.Since(began)
}

func sleepUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// account sums up.
func account(t Traffic, requests []request, wall time.Duration) *Served {
	s := &Served{
		Streams: t.Streams, Rate: t.Rate, Even: t.Even, Prompt: t.Prompt, Tokens: t.Tokens, Wall: wall, Errors: map[string]int{},
		TTFTLimit: t.TTFT, TPOTLimit: t.TPOT,
	}
	var firsts, gaps []time.Duration
	tokens, good := 0, 0
	for _, r := range requests {
		s.Late = max(s.Late, r.sent.Sub(r.due))
		at := r.answer.at
		tokens += len(at)
		if len(at) > 0 {
			firsts = append(firsts, at[0].Sub(r.due))
		}
		for i := 1; i < len(at); i++ {
			gaps = append(gaps, at[i].Sub(at[i-1]))
		}
		if cause := r.failure(); cause != "" {
			s.Errors[cause]++
			continue
		}
		s.Completed++
		if r.within(t) {
			s.Good++
			good += len(at)
		}
	}
	s.TTFT, s.Between = quantilesOf(firsts), quantilesOf(gaps)
	s.TokensSec, s.GoodTokensSec, s.GoodRequestsSec = float64(tokens)/wall.Seconds(), float64(good)/wall.Seconds(), float64(s.Good)/wall.Seconds()
	return s
}

// failure names what kept the stream from ending well; "" = nothing.
func (r *request) failure() string {
	switch a := r.answer; {
	case r.err != nil:
		return "connection"
	case a.status != http.StatusOK:
		return fmt.Sprintf("HTTP %d", a.status)
	case a.failed != "":
		return a.failed
	case len(a.at) == 0:
		return "no token"
	}
	return ""
}

// within says whether a stream that ended well was good.
func (r *request) within(t Traffic) bool {
	at := r.answer.at
	mean := at[len(at)-1].Sub(at[0]) / time.Duration(max(len(at)-1, 1))
	return at[0].Sub(r.due) <= t.TTFT && mean <= t.TPOT
}
