//go:build cuda

package cuda

import (
	"testing"

	"llorch/inference/backend/cuda/driver/drivertest"
)

// TestLaunchesOfAStep: a step of one row is the batch's words, what attention's blocks share, the table, the first norm and
// projection, then attention and a chain for each layer, and the choice of the token. It takes no GPU.
func TestLaunchesOfAStep(t *testing.T) {
	for _, s := range []shape{chainShapes[0], chainShapes[len(chainShapes)-1]} {
		launches := 0
		d := openFake(t, drivertest.NewFake(), func(method string) error {
			if method == "Launch" {
				launches++
			}
			return nil
		})
		m := newBenchModel(t, d, s, 8)
		m.step(t, decodeBatch(1, 1)) // weights are laid out
		first := 6
		if s.name != "small" {
			first-- // kernels for quantised weights take the norm themselves
		}
		for _, how := range []struct {
			unchained bool
			want      int
		}{{false, first + 2*s.layers}, {true, 0}} {
			d.unchained = how.unchained
			d.forgetAll()
			launches = 0
			m.step(t, decodeBatch(1, 1))
			if how.want > 0 && launches != how.want || how.want == 0 && launches < first+5*s.layers {
				t.Errorf("%s, unchained %v: %d launches, want %d", s.name, how.unchained, launches, how.want)
			}
		}
		m.checkChained(t)
	}
}
