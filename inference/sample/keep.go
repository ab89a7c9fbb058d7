package sample

import (
	"container/heap"
	"slices"
)

// keep fills c.kept with the k most likely ids, and of those the fewest that
// together have the probability topP (at least one), most likely first.
func (c *Chooser) keep(logits []float32, k int, topP float32) {
	c.kept = c.kept[:0]
	if k < len(logits) {
		c.topK(logits, k)
		slices.SortFunc(c.kept, byLikelihood)
		c.kept = c.kept[:prefix(c.kept, total(c.kept, c.kept[0].logit), topP)]
		return
	}
	for id, l := range logits {
		c.kept = append(c.kept, candidate{l, int32(id)})
	}
	c.topP(topP)
}

func byLikelihood(a, b candidate) int {
	switch {
	case a.before(b):
		return -1
	case b.before(a):
		return 1
	}
	return 0
}

// topK keeps the k most likely in a heap whose root is the least likely of
// them: one comparison decides about nearly every id.
func (c *Chooser) topK(logits []float32, k int) {
	for id, l := range logits {
		x := candidate{l, int32(id)}
		switch {
		case len(c.kept) < k:
			c.kept = append(c.kept, x)
			if len(c.kept) == k {
				heap.Init(&c.kept)
			}
		case x.before(c.kept[0]):
			c.kept[0] = x
			heap.Fix(&c.kept, 0)
		}
	}
}

// topP cuts c.kept, which holds all ids, without sorting what is cut: it sorts
// the ids near the maximum first and reaches further down only if they are not
// enough.
func (c *Chooser) topP(p float32) {
	all := c.kept
	max := slices.MinFunc(all, byLikelihood).logit
	sum := total(all, max)
	for reach := float32(4); ; reach *= 2 {
		near := partition(all, max-reach)
		slices.SortFunc(all[:near], byLikelihood)
		n := prefix(all[:near], sum, p)
		if n < near || near == len(all) {
			c.kept = all[:n]
			return
		}
	}
}

// partition moves the candidates at or above floor to the front and returns
// their number.
func partition(c candidates, floor float32) int {
	n := 0
	for i := range c {
		if c[i].logit >= floor {
			c[i], c[n] = c[n], c[i]
			n++
		}
	}
	return n
}

// total is the sum of the weights, relative to the largest logit.
func total(c candidates, max float32) uint64 {
	var sum uint64
	for _, x := range c {
		sum += weight(float64(x.logit) - float64(max))
	}
	return sum
}

// prefix returns how many of the sorted candidates reach the share p of sum:
// at least one, all of them if they do not reach it.
func prefix(sorted candidates, sum uint64, p float32) int {
	if p >= 1 {
		return len(sorted)
	}
	need := float64(p) * float64(sum)
	var have uint64
	for i, x := range sorted {
		have += weight(float64(x.logit) - float64(sorted[0].logit))
		if float64(have) >= need {
			return i + 1
		}
	}
	return len(sorted)
}
