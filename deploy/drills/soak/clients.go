package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"llorch/deploy/demo/standin"
)

// cancelShare of all requests are given up by their client at a random token,
// half of them by a cancel and half by hanging up.
const cancelShare = 0.2

var prompts = []string{
	"Once upon a time", "The little dog", "One day, a girl named Lily found a needle", "Tom and his mom went to the park. There they saw",
	"It was raining", "\"Look!\" said the bird.", "A", "Fünf kleine Mäuse 🐭 und", strings.Repeat("The cat sat on the mat. ", 12),
}

// client keeps one stream going until ctx ends.
func (s *soak) client(ctx context.Context, number int, r *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		wait := s.one(r, fmt.Sprintf("c%d-%d", number, n))
		if wait > 0 && !nap(ctx, wait) {
			return
		}
	}
}

// one runs a request to its end, which it is given the time for: what began
// must end well. It returns how long to wait before the next one.
func (s *soak) one(r *rand.Rand, id string) time.Duration {
	seed := r.Uint64()
	request := standin.Request{
		JobID: id, Prompt: prompts[r.IntN(len(prompts))], MaxTokens: 8 + r.IntN(120), Temperature: float64(r.IntN(3)) * 0.5, Seed: &seed,
	}
	leaveAt := -1
	if r.Float64() < cancelShare {
		leaveAt = r.IntN(request.MaxTokens)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	st, err := s.worker.Execute(ctx, "", request)
	if err != nil {
		s.fail("request %s: %v", id, err)
		return time.Second
	}
	defer st.Close()
	if st.Status != 200 {
		return s.refused(st, id)
	}
	s.follow(ctx, st, id, leaveAt, r.IntN(2) == 0)
	return 0
}

// refused judges an answer that is no stream: a clean one says when to come again.
func (s *soak) refused(st *standin.Stream, id string) time.Duration {
	seconds, err := strconv.Atoi(st.Header.Get("Retry-After"))
	if (st.Status != 503 && st.Status != 429) || err != nil {
		s.fail("request %s: status %d, Retry-After %q", id, st.Status, st.Header.Get("Retry-After"))
		return time.Second
	}
	s.tally.refused.Add(1)
	return time.Duration(min(max(seconds, 1), 10)) * time.Second
}

// follow reads a stream. At token leaveAt its client gives up, by a cancel or
// by hanging up; a cancelled stream still has to end properly.
func (s *soak) follow(ctx context.Context, st *standin.Stream, id string, leaveAt int, cancel bool) {
	var all []standin.Frame
	cancelled := false
	for {
		f, err := st.Next()
		if err != nil {
			s.ended(id, all, cancelled)
			return
		}
		all = append(all, f)
		if f.Type == "token" {
			s.tally.tokens.Add(1)
		}
		if leaveAt < 0 || f.Type != "token" || f.I < leaveAt || cancelled {
			continue
		}
		if !cancel {
			s.tally.left.Add(1)
			return
		}
		cancelled = true
		if status, _, _, err := s.worker.Do(ctx, "POST", "/cancel/"+id, nil); err != nil || status != 202 {
			s.fail("cancel %s: %d %v", id, status, err)
		}
	}
}

// ended judges a stream that was read to its end.
func (s *soak) ended(id string, all []standin.Frame, cancelled bool) {
	last := standin.Last(all)
	switch err := standin.CheckOrder(all); {
	case err != nil:
		s.fail("request %s: %v", id, err)
	case last.Type == "end":
		s.tally.completed.Add(1)
	case cancelled && last.Code == "CANCELLED":
		s.tally.cancelled.Add(1)
	default:
		s.fail("request %s: %s", id, last.Raw)
	}
}

func (s *soak) fail(format string, args ...any) {
	s.tally.failed.Add(1)
	s.wrong.add(format, args...)
}
