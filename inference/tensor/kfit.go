package tensor

import "math"

// The searches for the scale of one group of a K format. They minimise the
// weighted squared error Σ w·(x - value(level))² alternately: levels are the
// nearest for some scale, and the scale that is best for these levels has a closed
// form. The candidates and the weights are those of llama-quantize without an
// importance matrix, and sums are taken in the same order, so that the bytes are
// the same.

// tiny is the magnitude below which a group counts as zeros.
const tiny = 1e-15

// affineSearch says how fitAffine looks for levels 0..top.
type affineSearch struct {
	top    float32 // highest level
	first  float32 // first candidate: the range is divided into top+first steps
	steps  int     // candidates; each has 0.1 steps more than the one before
	absSum bool    // judge a candidate by Σ w·|error| in place of Σ w·error²
}

// fitAffine finds scale ≥ 0 and m ≥ 0 such that x ≈ scale·q - m, and the levels
// q, for at most 32 elements with weights w.
func fitAffine(q []uint8, x, w []float32, s *affineSearch) (scale, m float32) {
	lo, hi := x[0], x[0]
	sumW, sumX := w[0], w[0]*x[0]
	for i := 1; i < len(x); i++ {
		lo, hi = min(lo, x[i]), max(hi, x[i])
		sumW += w[i]
		sumX += float32(w[i] * x[i])
	}
	lo = min(lo, 0)
	if lo == hi {
		clear(q)
		return 0, -lo
	}
	var buf [2][32]float32
	best, next := buf[0][:len(x)], buf[1][:len(x)]
	inv := s.top / (hi - lo)
	scale = 1 / inv
	for i, v := range x {
		best[i] = clamp(nearest(float32(inv*(v-lo))), 0, s.top)
	}
	least := s.loss(best, x, w, scale, lo)
	for step := range s.steps {
		inv = (s.first + float32(0.1*float32(step)) + s.top) / (hi - lo)
		var sumL, sumLL, sumLX float32
		for i, v := range x {
			l := clamp(nearest(float32(inv*(v-lo))), 0, s.top)
			next[i] = l
			wl := w[i] * l
			sumL += wl
			sumLL += float32(wl * l)
			sumLX += float32(wl * v)
		}
		det := float32(sumW*sumLL) - float32(sumL*sumL)
		if !(det > 0) {
			continue
		}
		d := (float32(sumW*sumLX) - float32(sumX*sumL)) / det
		b := (float32(sumLL*sumX) - float32(sumL*sumLX)) / det
		if b > 0 {
			d, b = sumLX/sumLL, 0
		}
		if loss := s.loss(next, x, w, d, b); loss < least {
			least, scale, lo = loss, d, b
			best, next = next, best
		}
	}
	for i, l := range best {
		q[i] = uint8(l)
	}
	return scale, -lo
}

// loss returns the error of the levels l for x ≈ d·l + b.
func (s *affineSearch) loss(l, x, w []float32, d, b float32) (sum float32) {
	if s.absSum {
		for i, v := range x {
			sum += float32(w[i] * abs32(float32(d*l[i])+b-v))
		}
		return sum
	}
	for i, v := range x {
		e := float32(d*l[i]) + b - v
		sum += float32(w[i] * float32(e*e))
	}
	return sum
}

// fitSymmetric finds a scale, of either sign, such that x ≈ scale·(q-n) with
// levels 0..2n-1, for 16 elements weighted by x². Candidates let the peak be
// n-0.9, n-0.8 … n+0.9 steps long.
func fitSymmetric(q []uint8, x []float32, n float32) float32 {
	peak := peakOf(x)
	if abs32(peak) < tiny {
		clear(q)
		return 0
	}
	inv := -n / peak
	sumLX, sumLL := symmetricSums(x, inv, n)
	chosen := inv
	var scale float32
	if sumLL != 0 {
		scale = sumLX / sumLL
	}
	best := scale * sumLX
	for step := -9; step <= 9; step++ {
		if step == 0 {
			continue
		}
		inv = -(n + float32(0.1*float32(step))) / peak
		sumLX, sumLL = symmetricSums(x, inv, n)
		if sumLL > 0 && float32(sumLX*sumLX) > float32(best*sumLL) {
			chosen, scale = inv, sumLX/sumLL
			best = scale * sumLX
		}
	}
	for i, v := range x {
		q[i] = uint8(int32(clamp(nearest(float32(chosen*v)), -n, n-1) + n))
	}
	return scale
}

// symmetricSums returns Σ w·x·l and Σ w·l² of the levels nearest to x·inv. The
// best scale for these levels is their quotient.
func symmetricSums(x []float32, inv, n float32) (sumLX, sumLL float32) {
	for _, v := range x {
		l := clamp(nearest(float32(inv*v)), -n, n-1)
		w := v * v
		sumLX += float32(float32(w*v) * l)
		sumLL += float32(float32(w*l) * l)
	}
	return sumLX, sumLL
}

// fitDescent finds a scale such that x ≈ scale·(q-n) with levels 0..2n-1, for 16
// elements weighted by x². It starts from the peak as level 0 and moves one
// level at a time to the nearest for the scale that the others make best, as
// long as this lowers the error, at most five times round.
func fitDescent(q []uint8, x []float32, n float32) float32 {
	peak := peakOf(x)
	if abs32(peak) < tiny {
		clear(q)
		return 0
	}
	var l [16]float32
	var sumLX, sumLL float32
	inv := -n / peak
	for i, v := range x {
		l[i] = clamp(nearest(float32(inv*v)), -n, n-1)
		w := v * v
		sumLX += float32(float32(w*v) * l[i])
		sumLL += float32(float32(w*l[i]) * l[i])
	}
	for range 5 {
		moved := false
		for i, v := range x {
			w := v * v
			lx := sumLX - float32(float32(w*v)*l[i])
			if !(lx > 0) {
				continue
			}
			ll := sumLL - float32(float32(w*l[i])*l[i])
			to := clamp(nearest(float32(v*ll)/lx), -n, n-1)
			if to == l[i] {
				continue
			}
			lx += float32(float32(w*v) * to)
			ll += float32(float32(w*to) * to)
			if ll > 0 && float32(float32(lx*lx)*sumLL) > float32(float32(sumLX*sumLX)*ll) {
				l[i], sumLX, sumLL, moved = to, lx, ll, true
			}
		}
		if !moved {
			break
		}
	}
	for i := range x {
		q[i] = uint8(int32(l[i] + n))
	}
	if !(sumLL > 0) {
		return 0
	}
	return sumLX / sumLL
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

// rootMeanSquare is the typical magnitude of a group.
func rootMeanSquare(x []float32) float32 {
	var sum float32
	for _, v := range x {
		sum += float32(v * v)
	}
	return float32(math.Sqrt(float64(sum / float32(len(x)))))
}
