package inference

import (
	"testing"

	"llorch/inference/backend"
)

// checkHeld compares what the device holds with what the plan said before
// anything was touched, and with what it reports by region.
func checkHeld(t *testing.T, e *Engine) {
	t.Helper()
	held, plan := e.Info().Held, e.Info().Plan
	for use, want := range map[backend.Use]int64{backend.Weights: plan.Weights, backend.Cache: plan.Cache} {
		if held[use] != want {
			t.Errorf("%v: %d bytes held, %d planned", use, held[use], want)
		}
	}
	if own := held[backend.Scratch] - plan.Scratch; own < 0 || own > deviceBytes {
		t.Errorf("%d bytes of scratch held, %d planned and at most %d for the device itself", held[backend.Scratch], plan.Scratch, deviceBytes)
	}
	sum := map[backend.Use]int64{}
	for _, r := range e.Regions() {
		sum[r.Use] += r.Bytes
	}
	for use, n := range held {
		if sum[use] != n {
			t.Errorf("%v: %d bytes held, %d in regions", use, n, sum[use])
		}
	}
}

func TestHeldIsWhatWasPlanned(t *testing.T) {
	for _, o := range []Options{{Device: "ref"}, {Device: "cpu"}, {MaxBatch: 3, ChunkTokens: 100, MaxContext: 200}} {
		checkHeld(t, openEngine(t, demoModel, o))
	}
}
