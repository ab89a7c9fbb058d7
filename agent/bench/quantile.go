package bench

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// quantile returns the nearest-rank quantile q of values in any order: the
// least value that a share q of them does not exceed. 0 of no values.
func quantile[T cmp.Ordered](values []T, q float64) (v T) {
	if len(values) == 0 {
		return v
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Quantiles of a time.
type Quantiles struct {
	P50 time.Duration `json:"p50_ns"`
	P95 time.Duration `json:"p95_ns"`
	P99 time.Duration `json:"p99_ns"`
}

func quantilesOf(times []time.Duration) Quantiles {
	return Quantiles{quantile(times, 0.50), quantile(times, 0.95), quantile(times, 0.99)}
}
