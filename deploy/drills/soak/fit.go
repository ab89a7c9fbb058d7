package soak

import "math"

// slope is that of the line through the points by least squares, and its
// standard error. It needs three points.
func slope(x, y []float64) (b, stderr float64) {
	n := float64(len(x))
	var mx, my float64
	for i := range x {
		mx += x[i] / n
		my += y[i] / n
	}
	var sxx, sxy, rest float64
	for i := range x {
		sxx += (x[i] - mx) * (x[i] - mx)
		sxy += (x[i] - mx) * (y[i] - my)
	}
	b = sxy / sxx
	for i := range x {
		d := y[i] - my - b*(x[i]-mx)
		rest += d * d
	}
	return b, math.Sqrt(rest / (n - 2) / sxx)
}
