package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"llorch/inference"
)

// Limits are what the hardware allows.
type Limits struct {
	ReadGBs float64 `json:"read_gb_per_second"`
	GFlops  float64 `json:"fma_gflops"`
}

// cost is what one step moves and computes.
type cost struct {
	weightBytes int64 // read by every decode step
	cacheBytes  int64 // read by a step for each token of context
	layerFlops  int64 // of one token in the layers
	headFlops   int64 // of one row of logits
}

// costOf counts the matrices: every weight but the embedding table is read by
// each step, and costs a multiplication and an addition a token.
func costOf(ins *inference.Inspection) cost {
	var c cost
	for _, name := range ins.Source.Names() {
		t, _ := ins.Source.Tensor(name)
		n := int64(1)
		for _, d := range t.Shape {
			n *= int64(d)
		}
		switch {
		case strings.HasPrefix(name, "lm_head"):
			c.headFlops = 2 * n
		case strings.Contains(name, "embed_tokens"):
			if ins.Spec.TiedHead {
				c.headFlops = 2 * n
			} else {
				continue
			}
		default:
			c.layerFlops += 2 * n
		}
		c.weightBytes += t.Bytes
	}
	s := ins.Spec
	c.cacheBytes = 2 * 2 * int64(s.Layers) * int64(s.CacheRow())
	return c
}

// meter runs requests and takes times.
type meter struct {
	ctx  context.Context
	e    *inference.Engine
	o    Options
	cost cost
	asks int
}

// stream is one answer's times.
type stream struct {
	first time.Duration // until the first token
	at    []time.Time   // of each token
}

func (m *meter) stream(prompt, tokens int) (stream, error) {
	m.asks++
	return m.ask(fmt.Sprintf("bench-%d", m.asks), prompt, tokens)
}

// ask sends a prompt of n random letters: a token each, for a tokenizer without
// merges. Letters differ by request, so that no cache could know the prompt.
func (m *meter) ask(id string, prompt, tokens int) (s stream, err error) {
	text := make([]byte, prompt)
	for i := range text {
		text[i] = byte('a' + rand.IntN(26))
	}
	began := time.Now()
	events, err := m.e.Generate(m.ctx, inference.Request{ID: id, Prompt: string(text), MaxTokens: tokens})
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

func (m *meter) prefill(n int) (Prefill, error) {
	m.say("prefill of %d tokens", n)
	d, err := m.median(func() (time.Duration, error) { s, err := m.stream(n, 1); return s.first, err })
	if err != nil {
		return Prefill{}, err
	}
	flops := float64(int64(n)*m.cost.layerFlops + m.cost.headFlops)
	return Prefill{Tokens: n, TokensSec: float64(n) / d.Seconds(), GFlops: flops / d.Seconds() / 1e9}, nil
}

// decode runs batch sequences at once and times the steps in which all of them
// decode: from the latest first token to the earliest last one.
func (m *meter) decode(batch int) (Decode, error) {
	m.say("decode, %d at once", batch)
	const prompt = 16
	var tokens int
	step, err := m.median(func() (d time.Duration, err error) {
		for range togetherTries {
			if d, tokens, err = m.together(batch, prompt); err != nil || d > 0 {
				return d, err
			}
		}
		return 0, fmt.Errorf("bench: %d sequences never ran together: the machine is too busy, or %d tokens are too few", batch, m.o.Tokens)
	})
	if err != nil {
		return Decode{}, err
	}
	d := Decode{Batch: batch, Context: prompt + tokens/2, TokensSec: float64(batch) / step.Seconds()}
	bytes := float64(m.cost.weightBytes) + float64(batch*d.Context)*float64(m.cost.cacheBytes)
	d.GBs = bytes / step.Seconds() / 1e9
	return d, nil
}

// togetherTries is how often a batch is started again whose sequences missed
// each other, as short ones may on a busy machine.
const togetherTries = 5

// together runs batch sequences at once. The time of a step is not above 0 when
// one was over before the last one began.
func (m *meter) together(batch, prompt int) (step time.Duration, tokens int, err error) {
	streams, errs := make([]stream, batch), make([]error, batch)
	var wg sync.WaitGroup
	for i := range batch {
		m.asks++
		id := fmt.Sprintf("bench-%d", m.asks)
		wg.Go(func() { streams[i], errs[i] = m.ask(id, prompt, m.o.Tokens) })
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

func (m *meter) limits() (Limits, error) {
	m.say("limits of the hardware")
	l, err := m.e.Limits()
	return Limits{ReadGBs: l.ReadGBs, GFlops: l.GFlops}, err
}

// peakRSS is the process's largest resident set so far, mapped files included;
// 0 where the system does not tell.
func peakRSS() int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		if v, ok := strings.CutPrefix(in.Text(), "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
