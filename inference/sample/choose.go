package sample

import (
	"errors"
	"math"
	"math/bits"
)

// ErrNotFinite is returned for logits that hold a NaN or +Inf: the model or
// the device computed nonsense, and no choice among it is honest.
var ErrNotFinite = errors.New("sample: logits are not finite")

// Choose returns the next token under p. logits has one entry an id; it is
// scratch and holds the scaled and penalised logits afterwards.
func Choose(logits []float32, p *Params) (int32, error) {
	var c Chooser
	return c.Choose(logits, p)
}

// Chooser is Choose with memory that is kept between calls. It is not safe for
// use by several goroutines at once.
type Chooser struct{ kept candidates }

// coldest is the temperature below which the draw cannot differ from the
// greedy choice but for exact ties, while the division would overflow.
const coldest = 1e-20

// Choose is described at the function of the same name.
func (c *Chooser) Choose(logits []float32, p *Params) (int32, error) {
	greedy := p.Greedy()
	if !greedy {
		for i := range logits {
			logits[i] /= p.Temperature
		}
	}
	penalize(logits, p)
	best, err := argmax(logits)
	if err != nil || greedy {
		return best, err
	}
	floor := minPFloor(logits[best], p.MinP)
	k := p.TopK
	if k <= 0 || k > len(logits) {
		k = len(logits)
	}
	if k == len(logits) && p.TopP >= 1 {
		return race(logits, best, floor, p), nil
	}
	c.keep(logits, k, p.TopP)
	return c.kept.race(floor, p), nil
}

// penalize makes seen ids less likely (more, below 1): positive logits are
// divided, negative ones multiplied (Keskar et al., "CTRL", 2019).
func penalize(logits []float32, p *Params) {
	if !p.Penalizes() {
		return
	}
	for _, id := range p.Seen {
		if l := logits[id]; l > 0 {
			logits[id] = min(l/p.RepetitionPenalty, max(l, math.MaxFloat32)) // finite stays finite
		} else {
			logits[id] = l * p.RepetitionPenalty
		}
	}
}

// argmax returns the lowest id of the largest logit.
func argmax(logits []float32) (int32, error) {
	best, at := float32(math.Inf(-1)), -1
	for i, l := range logits {
		if l > best {
			best, at = l, i
		} else if l != l {
			return -1, ErrNotFinite
		}
	}
	if at < 0 || math.IsInf(float64(best), 1) {
		return -1, ErrNotFinite
	}
	return int32(at), nil
}

// minPFloor is the lowest logit that has the share minP of the most likely one:
// exp(l − max) ≥ minP.
func minPFloor(max, minP float32) float64 {
	if minP <= 0 {
		return math.Inf(-1)
	}
	return float64(max) + ln(float64(minP))
}

// race is Gumbel-max over all ids at or above floor, best being the most
// likely. Most ids are out without a logarithm, many without a random word.
func race(logits []float32, best int32, floor float64, p *Params) int32 {
	d := newDraw(p)
	win := entrant{id: best, score: float64(logits[best]) + gumbel(d.word(best))}
	for i, l := range logits {
		if float64(l) >= floor && float64(l)+gumbelMax >= win.score {
			win.challenge(&d, int32(i), l)
		}
	}
	return win.id
}

// entrant is the leader of a race.
type entrant struct {
	id    int32
	score float64
}

// challenge lets id take the lead: the higher score wins, the lower id on ties.
func (e *entrant) challenge(d *draw, id int32, l float32) {
	w := d.word(id)
	if float64(l)+gumbelBound(bits.LeadingZeros32(^w)) < e.score {
		return
	}
	score := float64(l) + gumbel(w)
	if score > e.score || score == e.score && id < e.id {
		e.id, e.score = id, score
	}
}

type candidate struct {
	logit float32
	id    int32
}

// candidates is a heap of the least likely first, so that the k most likely
// can be kept; sorted() turns it into most likely first.
type candidates []candidate

func (c candidates) Len() int           { return len(c) }
func (c candidates) Less(i, j int) bool { return c[j].before(c[i]) }
func (c candidates) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)        { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// before orders by likelihood, lower id first among equals.
func (a candidate) before(b candidate) bool {
	return a.logit > b.logit || a.logit == b.logit && a.id < b.id
}

// race is Gumbel-max over candidates at or above floor. The first is the most
// likely one, and always kept.
func (c candidates) race(floor float64, p *Params) int32 {
	d := newDraw(p)
	win := entrant{id: c[0].id, score: float64(c[0].logit) + gumbel(d.word(c[0].id))}
	for _, x := range c[1:] {
		if float64(x.logit) >= floor {
			win.challenge(&d, x.id, x.logit)
		}
	}
	return win.id
}
