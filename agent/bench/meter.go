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
	"llorch/inference/sample"
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
	first time.Duration // until the first token was read
	at    []time.Time   // of each token, when its step ended
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
	events, err := m.e.Generate(m.ctx, inference.Request{
		ID: id, Prompt: prompt, MaxTokens: tokens, Sampling: sample.Params{Temperature: m.o.Heat, TopP: 1, Seed: 1},
	})
	if err != nil {
		return s, err
	}
	for ev := range events {
		switch {
		case ev.Err != nil:
			return s, ev.Err
		case ev.End == nil:
			if len(s.at) == 0 {
				s.first = time.Since(began)
			}
			s.at = append(s.at, ev.At)
		}
	}
	if len(s.at) == 0 {
		return s, fmt.Errorf("bench: the model ended its text at once")
	}
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

// decode runs batch sequences at once and takes the median of the steps in which all of
// them decode. Repeats have the same prompts: where prefixes are cached, only the first
// computes them.
func (m *meter) decode(batch, prompt int) (Decode, error) {
	m.o.say("decode, %d at once, context %d", batch, prompt)
	prompts := make([]string, batch)
	for i := range prompts {
		prompts[i] = m.prompt(prompt)
	}
	var steps []time.Duration
	limits, err := m.between(func() error {
		for range m.o.Repeats {
			some, err := m.together(prompts)
			if err != nil {
				return err
			}
			steps = append(steps, some...)
		}
		return nil
	})
	if err != nil {
		return Decode{}, err
	}
	step := quantile(steps, 0.5).Seconds()
	d := Decode{
		Batch: batch, Prompt: prompt, Context: prompt + m.o.Tokens/2, Steps: len(steps), TokensSec: float64(batch) / step,
		P99: quantile(steps, 0.99), Limits: limits,
	}
	d.StepBytes = m.cost.decodeBytes(batch, d.Context)
	d.GBs = d.StepBytes / step / 1e9
	return d, nil
}

// togetherTries is how often a batch is started again whose sequences missed
// each other: on a busy machine, or while long prompts were not cached yet.
const togetherTries = 5

// together runs a sequence for each prompt at once and returns the times of the steps
// in which all decoded, at least half of those of a sequence.
func (m *meter) together(prompts []string) ([]time.Duration, error) {
	for range togetherTries {
		streams, errs := make([]stream, len(prompts)), make([]error, len(prompts))
		var wg sync.WaitGroup
		for i, p := range prompts {
			wg.Go(func() { streams[i], errs[i] = m.stream(p, m.o.Tokens) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		if steps := commonSteps(streams); len(steps) > 0 && len(steps) >= (m.o.Tokens-1)/2 {
			return steps, nil
		}
	}
	return nil, fmt.Errorf("bench: %d sequences never ran together: the machine is too busy, or %d tokens are too few", len(prompts), m.o.Tokens)
}

// commonSteps returns the times between the tokens of the first stream while all ran:
// from the latest first token to the earliest last one.
func commonSteps(streams []stream) (steps []time.Duration) {
	from, to := streams[0].at[0], streams[0].at[len(streams[0].at)-1]
	for _, s := range streams {
		if t := s.at[0]; t.After(from) {
			from = t
		}
		if t := s.at[len(s.at)-1]; t.Before(to) {
			to = t
		}
	}
	for i, t := range streams[0].at {
		if i > 0 && !streams[0].at[i-1].Before(from) && !t.After(to) {
			steps = append(steps, t.Sub(streams[0].at[i-1]))
		}
	}
	return steps
}
