package inference

import (
	"time"

	"llorch/inference/backend"
)

// pace is how fast the device is and how long answers are, as measured from
// real steps and finished requests. A step costs step seconds, and row seconds
// for each prompt token in it beyond that.
//
// The loop writes it; others read it under the engine's lock.
type pace struct {
	step  float64 // seconds of a step of the batches of late; 0 = not measured
	row   float64 // seconds that a prompt token adds to a step
	share float64 // of the tokens that requests may choose, those they do
}

// How much of the past a mean remembers.
const (
	stepMemory  = 8                        // steps
	rowMemory   = 8 * backend.ChunkQuantum // prompt tokens: a short prompt's rows are mostly noise
	shareMemory = 16                       // requests
	firstShare  = 0.5                      // before any request has ended
)

// stepped learns from a step that computed so many rows of prompts and had a
// row for each of so many decoding sequences.
func (p *pace) stepped(took time.Duration, prompts, decodes int) {
	s := took.Seconds()
	switch {
	case prompts == 0 && decodes > 0:
		p.step = mean(p.step, s, stepMemory, p.step == 0)
	case prompts > 0 && p.step > 0:
		p.row += (max(s-p.step, 0)/float64(prompts) - p.row) * float64(prompts) / float64(prompts+rowMemory)
	}
}

// answered learns from a request that ended well: it chose so many tokens of
// those that it might have.
func (p *pace) answered(chosen, allowed int) {
	p.share = mean(p.share, float64(chosen)/float64(max(allowed, 1)), shareMemory, false)
}

// expected is how many tokens a request will choose of those it still may.
func (p *pace) expected(allowed int) float64 { return max(p.share*float64(allowed), 1) }

// prefill is the time of so many prompt tokens.
func (p *pace) prefill(tokens int) time.Duration { return seconds(float64(tokens) * p.row) }

func mean(old, next, memory float64, first bool) float64 {
	if first {
		return next
	}
	return old + (next-old)/memory
}

// seconds is a time.Duration of at most a day, so that no sum of estimates
// wraps round.
func seconds(s float64) time.Duration {
	return time.Duration(min(s, 86400) * float64(time.Second))
}
