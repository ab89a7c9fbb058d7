package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"llorch/inference"
)

// meter runs requests and takes times.
type meter struct {
	ctx  context.Context
	e    *inference.Engine
	o    Options
	cost cost
	last Limits // measured last

	mu   sync.Mutex // protects asks
	asks int
}

// stream is one answer's times.
type stream struct {
	first time.Duration // until the first token
	at    []time.Time   // of each token
}

// prompt returns n random letters: a token each, for a tokenizer without
// merges. They are new each time, so that no cache of prefixes knows them.
func (m *meter) prompt(n int) string { return randomLetters(n) }

func randomLetters(n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte('a' + rand.IntN(26))
	}
	return string(text)
}

// stream sends one prompt and takes the times of its answer's tokens.
func (m *meter) stream(prompt string, tokens int) (s stream, err error) {
	m.mu.Lock()
	m.asks++
	id := fmt.Sprintf("bench-%d", m.asks)
	m.mu.Unlock()
	began := time.Now()
	events, err := m.e.Generate(m.ctx, inference.Request{ID: id, Prompt: prompt, MaxTokens: tokens})
	if err != nil {
		return s, err
	}
	for ev := range events {
		switch {
		case ev.Err != nil:
			return s, ev.Err
		case ev.End == nil:
			s.at = append(s.at, time.Now())
		}
	}
	if len(s.at) == 0 {
		return s, fmt.Errorf("bench: the model ended its text at once")
	}
	s.first = s.at[0].Sub(began)
	return s, nil
}

func (m *meter) median(f func() (time.Duration, error)) (time.Duration, error) {
	var all []time.Duration
	for range m.o.Repeats {
		d, err := f()
		if err != nil {
			return 0, err
		}
		all = append(all, d)
	}
	slices.Sort(all)
	return all[len(all)/2], nil
}

// prefill times prompts of n tokens, each a new one, until their first token.
func (m *meter) prefill(n int) (Prefill, error) {
	m.o.say("prefill of %d tokens", n)
	var took time.Duration
	limits, err := m.between(func() (err error) {
		took, err = m.median(func() (time.Duration, error) { s, err := m.stream(m.prompt(n), 1); return s.first, err })
		return err
	})
	if err != nil {
		return Prefill{}, err
	}
	return Prefill{
		Tokens: n, TokensSec: float64(n) / took.Seconds(), GFlops: m.cost.prefillFlops(n) / took.Seconds() / 1e9, Limits: limits,
	}, nil
}

// decode runs batch sequences at once and times the steps in which all of them
// decode: from the latest first token to the earliest last one. Repeats have
// the same prompts: where prefixes are cached, only the first computes them.
func (m *meter) decode(batch, prompt int) (Decode, error) {
	m.o.say("decode, %d at once, context %d", batch, prompt)
	prompts := make([]string, batch)
	for i := range prompts {
		prompts[i] = m.prompt(prompt)
	}
	var tokens int
	var step time.Duration
	limits, err := m.between(func() (err error) {
		step, err = m.median(func() (d time.Duration, err error) {
			for range togetherTries {
				if d, tokens, err = m.together(prompts); err != nil || d > 0 {
					return d, err
				}
			}
			return 0, fmt.Errorf("bench: %d sequences never ran together: the machine is too busy, or %d tokens are too few", batch, m.o.Tokens)
		})
		return err
	})
	if err != nil {
		return Decode{}, err
	}
	d := Decode{Batch: batch, Prompt: prompt, Context: prompt + tokens/2, TokensSec: float64(batch) / step.Seconds(), Limits: limits}
	d.StepBytes = m.cost.decodeBytes(batch, d.Context)
	d.GBs = d.StepBytes / step.Seconds() / 1e9
	return d, nil
}

// togetherTries is how often a batch is started again whose sequences missed
// each other, as short ones may on a busy machine.
const togetherTries = 5

// together runs a sequence for each prompt at once. The time of a step is not
// above 0 when one was over before the last one began.
func (m *meter) together(prompts []string) (step time.Duration, tokens int, err error) {
	streams, errs := make([]stream, len(prompts)), make([]error, len(prompts))
	var wg sync.WaitGroup
	for i, p := range prompts {
		wg.Go(func() { streams[i], errs[i] = m.stream(p, m.o.Tokens) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, 0, err
	}
	step, tokens = commonStep(streams)
	return step, tokens, nil
}

// commonStep returns the mean time of a step while all streams ran, and the
// tokens of one stream in that time.
func commonStep(streams []stream) (time.Duration, int) {
	from, to := streams[0].at[0], streams[0].at[len(streams[0].at)-1]
	for _, s := range streams {
		if t := s.at[0]; t.After(from) {
			from = t
		}
		if t := s.at[len(s.at)-1]; t.Before(to) {
			to = t
		}
	}
	n := 0
	for _, t := range streams[0].at {
		if t.After(from) && !t.After(to) {
			n++
		}
	}
	return to.Sub(from) / time.Duration(max(n, 1)), n
}
