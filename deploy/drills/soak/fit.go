package soak

import (
	"fmt"
	"math"
	"time"
)

// line is a straight one through samples of memory, in bytes.
type line struct {
	mean, perHour, stderr float64
	growth                float64       // over the time that it covers
	covers                time.Duration // what was left of the samples' time
}

// fit leaves the warm-up out and puts a line through the rest. It wants ten samples.
func fit(all []sample) (l line, enough bool) {
	used := all[int(float64(len(all))*warmUpShare):]
	if len(used) < 10 {
		return l, false
	}
	var x, y []float64
	for _, m := range used {
		x, y = append(x, m.at.Sub(used[0].at).Hours()), append(y, float64(m.bytes))
		l.mean += float64(m.bytes) / float64(len(used))
	}
	l.covers = used[len(used)-1].at.Sub(used[0].at)
	l.perHour, l.stderr = slope(x, y)
	l.growth = l.perHour * l.covers.Hours()
	return l, true
}

func (l line) String() string {
	const mb = 1 << 20
	return fmt.Sprintf("mean %.0f MiB, slope %+.1f ± %.1f MiB an hour, %+.1f MiB over the last %.0f s",
		l.mean/mb, l.perHour/mb, l.stderr/mb, l.growth/mb, l.covers.Seconds())
}

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
