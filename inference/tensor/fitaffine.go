package tensor

import "math"

// affineSearch says how to look for scale ≥ 0, minimum -m ≤ 0 and levels 0..top
// such that x ≈ scale·q - m for one group of a K format.
//
// The weighted error is minimised alternately: levels are the nearest for some
// scale, and scale and minimum that are best for these levels have a closed form.
// Candidates, weights and the order of all sums are those of llama-quantize
// without an importance matrix, so that the bytes are the same.
type affineSearch struct {
	top    float32 // highest level
	first  float32 // first candidate: the range is divided into top+first steps
	steps  int     // candidates; each has 0.1 steps more than the one before
	absSum bool    // judge a candidate by Σ w·|error| in place of Σ w·error²
}

// group is one group of at most 32 elements with its weights.
type group struct {
	x, w             []float32
	low, high        float32 // of x
	sumW, sumX       float32 // Σ w, Σ w·x
	sumXX, varianceW float64 // Σ w·x², and what is left of it around the mean
}

func newGroup(x, w []float32) group {
	w = w[:len(x)]
	g := group{x: x, w: w, low: x[0], high: x[0]}
	var xx float32
	for i, v := range x {
		if v < g.low {
			g.low = v
		}
		if v > g.high {
			g.high = v
		}
		g.sumW += w[i]
		wx := float32(w[i] * v)
		g.sumX += wx
		xx += float32(wx * v)
	}
	g.sumXX = float64(xx)
	g.varianceW = g.sumXX - float64(g.sumX)*float64(g.sumX)/float64(g.sumW)
	return g
}

// fit returns scale and m and writes the levels to q.
func (s *affineSearch) fit(q []uint8, x, w []float32) (scale, m float32) {
	g := newGroup(x, w)
	lo, hi := min(g.low, 0), g.high
	if lo == hi {
		clear(q)
		return 0, -lo
	}
	var buf [2][32]float32
	best, next := buf[0][:len(x)], buf[1][:len(x)]
	inv := s.top / (hi - lo)
	scale = 1 / inv
	g.levels(best, inv, lo, s.top)
	least := s.loss(&g, best, scale, lo, math.MaxFloat32)
	for step := range s.steps {
		inv = (s.first + float32(0.1*float32(step)) + s.top) / (hi - lo)
		sums := g.levels(next, inv, lo, s.top)
		d, b, ok := sums.solve(&g)
		if !ok || !s.absSum && sums.hopeless(&g, least) {
			continue
		}
		if loss := s.loss(&g, next, d, b, least); loss < least {
			least, scale, lo = loss, d, b
			best, next = next, best
		}
	}
	for i, l := range best {
		q[i] = uint8(l)
	}
	return scale, -lo
}

// affineSums are Σ w·l, Σ w·l² and Σ w·l·x of a candidate's levels.
type affineSums struct{ l, ll, lx float32 }

// levels writes the levels 0..top nearest to (x-lo)·inv to l.
func (g *group) levels(l []float32, inv, lo, top float32) affineSums {
	x, w := g.x, g.w[:len(g.x)]
	l = l[:len(x)]
	var sumL, sumLL, sumLX float32
	// Rounding is monotonic: where the ends need no clamping, nothing does.
	if nearest(inv*(g.low-lo)) >= 0 && nearest(inv*(g.high-lo)) <= top {
		for i, v := range x {
			q := nearest(inv * (v - lo))
			l[i] = q
			wq := float32(w[i] * q)
			sumL += wq
			sumLL += float32(wq * q)
			sumLX += float32(wq * v)
		}
		return affineSums{sumL, sumLL, sumLX}
	}
	for i, v := range x {
		q := clamp(nearest(inv*(v-lo)), 0, top)
		l[i] = q
		wq := float32(w[i] * q)
		sumL += wq
		sumLL += float32(wq * q)
		sumLX += float32(wq * v)
	}
	return affineSums{sumL, sumLL, sumLX}
}

// solve returns the d and b ≤ 0 that make Σ w·(d·l + b - x)² least.
func (s affineSums) solve(g *group) (d, b float32, ok bool) {
	det := float32(g.sumW*s.ll) - float32(s.l*s.l)
	if !(det > 0) {
		return 0, 0, false
	}
	d = (float32(g.sumW*s.lx) - float32(g.sumX*s.l)) / det
	b = (float32(s.ll*g.sumX) - float32(s.l*s.lx)) / det
	if b > 0 {
		return s.lx / s.ll, 0, true
	}
	return d, b, true
}

// hopeless reports that no d and b bring the squared error of these levels below
// least, so that it need not be summed. The bound is the least error there is,
//
//	V - n²/(W·D),  V = Σwx² - (Σwx)²/W,  n = W·Σwlx - Σwx·Σwl,  D = W·Σwl² - (Σwl)²,
//
// less what rounding can have done to it: 33 additions in float32 shift each of
// the products of sums by at most 2⁻¹⁷, which with Cauchy's inequality is less
// than 2⁻¹⁵·(V·W·Σwl²/D + Σwx²) in all.
func (s affineSums) hopeless(g *group, least float32) bool {
	w, l, ll, lx := float64(g.sumW), float64(s.l), float64(s.ll), float64(s.lx)
	n := w*lx - float64(g.sumX)*l
	det := w*ll - l*l
	bound := g.varianceW - n*n/(w*det)
	doubt := (g.varianceW*w*ll/det + g.sumXX) * (1.0 / (1 << 15))
	return bound-doubt > float64(least) && g.sumXX > 1e-25 // below it products lose bits
}

// loss returns the error of x ≈ d·l + b, or some number ≥ least as soon as it
// can not be less: no term is negative, and rounding keeps the order.
func (s *affineSearch) loss(g *group, l []float32, d, b, least float32) (sum float32) {
	x, w := g.x, g.w[:len(g.x)]
	l = l[:len(x)]
	for at := 0; at < len(x) && sum < least; at += 8 {
		x, w, l := x[at:][:8], w[at:][:8], l[at:][:8]
		if s.absSum {
			for i, v := range x {
				sum += float32(w[i] * abs32(float32(d*l[i])+b-v))
			}
			continue
		}
		for i, v := range x {
			e := float32(d*l[i]) + b - v
			sum += float32(w[i] * float32(e*e))
		}
	}
	return sum
}

// rootMeanSquare is the typical magnitude of a group.
func rootMeanSquare(x []float32) float32 {
	var sum float32
	for _, v := range x {
		sum += float32(v * v)
	}
	return float32(math.Sqrt(float64(sum / float32(len(x)))))
}
