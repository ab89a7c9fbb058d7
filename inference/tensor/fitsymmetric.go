package tensor

// The searches for one scale, without a minimum, such that x ≈ scale·(q-n) with
// levels q of 0..2n-1, for the groups of 16 elements of Q3_K and Q6_K. Elements
// are weighted by x². The scale may have either sign: the peak takes the one
// level without a partner. As in affineSearch, candidates and sums are those of
// llama-quantize.

// tiny is the magnitude below which a group counts as zeros.
const tiny = 1e-15

// weighted is a group with the products that its sums are made of.
type weighted struct {
	x, xx, xxx [16]float32 // x, its weight x², and x·x²
	low, high  float32     // of x
	peak       float32     // the first element of the largest magnitude
}

func (g *weighted) set(x []float32) {
	g.x = [16]float32(x)
	g.low, g.high, g.peak = x[0], x[0], peakOf(x)
	for i, v := range &g.x {
		if v < g.low {
			g.low = v
		}
		if v > g.high {
			g.high = v
		}
		g.xx[i] = v * v
		g.xxx[i] = g.xx[i] * v
	}
}

// sums returns Σ w·x·l and Σ w·l² of the levels l of -n..n-1 nearest to x·inv.
// The scale that is best for these levels is their quotient, and the larger
// (Σ w·x·l)²/Σ w·l², the smaller is the error.
func (g *weighted) sums(inv, n float32) (lx, ll float32) {
	bottom, top := -n, n-1
	first, last := nearest(inv*g.low), nearest(inv*g.high)
	if min(first, last) >= bottom && max(first, last) <= top { // rounding is monotonic
		for i, v := range &g.x {
			l := nearest(inv * v)
			lx += float32(g.xxx[i] * l)
			ll += float32(float32(g.xx[i]*l) * l)
		}
		return lx, ll
	}
	for i, v := range &g.x {
		l := clamp(nearest(inv*v), bottom, top)
		lx += float32(g.xxx[i] * l)
		ll += float32(float32(g.xx[i]*l) * l)
	}
	return lx, ll
}

// fitSymmetric tries scales that let the peak be n-0.9, n-0.8 … n+0.9 steps
// long.
func fitSymmetric(q []uint8, x []float32, n float32) (scale float32) {
	var g weighted
	g.set(x)
	if abs32(g.peak) < tiny {
		clear(q)
		return 0
	}
	chosen := -n / g.peak
	lx, ll := g.sums(chosen, n)
	if ll != 0 {
		scale = lx / ll
	}
	best := scale * lx
	for step := -9; step <= 9; step++ {
		if step == 0 {
			continue
		}
		inv := -(n + float32(0.1*float32(step))) / g.peak
		if lx, ll = g.sums(inv, n); ll > 0 && lx*lx > best*ll {
			chosen, scale = inv, lx/ll
			best = scale * lx
		}
	}
	for i, v := range x {
		q[i] = uint8(int32(clamp(nearest(chosen*v), -n, n-1) + n))
	}
	return scale
}

// fitDescent starts from the peak as level 0 and moves one level at a time to
// the nearest for the scale that the others make best, as long as this lowers the
// error, at most five times round.
func fitDescent(q []uint8, x []float32, n float32) float32 {
	var g weighted
	g.set(x)
	if abs32(g.peak) < tiny {
		clear(q)
		return 0
	}
	var l [16]float32
	inv := -n / g.peak
	for i, v := range &g.x {
		l[i] = clamp(nearest(inv*v), -n, n-1)
	}
	lx, ll := g.sums(inv, n)
	for moved, round := true, 0; moved && round < 5; round++ {
		moved = false
		for i := range g.x {
			to, toLX, toLL := g.move(i, l[i], lx, ll, n)
			if to != l[i] {
				l[i], lx, ll, moved = to, toLX, toLL, true
			}
		}
	}
	for i := range l {
		q[i] = uint8(int32(l[i] + n))
	}
	if !(ll > 0) {
		return 0
	}
	return lx / ll
}

// move returns the level for element i that is better than l, and the sums with
// it; or l if there is none.
func (g *weighted) move(i int, l, lx, ll, n float32) (to, toLX, toLL float32) {
	toLX = lx - float32(g.xxx[i]*l)
	if !(toLX > 0) {
		return l, lx, ll
	}
	toLL = ll - float32(float32(g.xx[i]*l)*l)
	to = clamp(nearest(g.x[i]*toLL/toLX), -n, n-1)
	if to == l {
		return l, lx, ll
	}
	toLX += float32(g.xxx[i] * to)
	toLL += float32(float32(g.xx[i]*to) * to)
	if toLL > 0 && float32(toLX*toLX)*ll > float32(lx*lx)*toLL {
		return to, toLX, toLL
	}
	return l, lx, ll
}

// peakOf returns the first element of the largest magnitude.
func peakOf(x []float32) (peak float32) {
	for _, v := range x {
		if abs32(v) > abs32(peak) {
			peak = v
		}
	}
	return peak
}
