package inference

import (
	"strings"
	"testing"
	"time"

	"llorch/inference/sample"
)

// The bound that the warm-up gives must not be below what a full prefill takes:
// whoever watches for hangs waits twice as long.
func TestLongStepBoundsAPrefill(t *testing.T) {
	const chunk = 512
	e := openEngine(t, demoModel, Options{MaxBatch: 1, ChunkTokens: chunk})
	bound := e.Info().LongStep
	if bound <= 0 {
		t.Fatal("the warm-up was not timed")
	}
	best := time.Hour // of several: a machine with other work only makes the step longer
	for i := range 3 {
		began := time.Now()
		events, err := e.Generate(t.Context(), Request{ID: string(rune('a' + i)), Prompt: strings.Repeat("a ", chunk/2), MaxTokens: 1, Sampling: sample.Params{}})
		if err != nil {
			t.Fatal(err)
		}
		for ev := range events {
			if ev.End != nil && ev.End.TokensIn <= chunk {
				best = min(best, time.Since(began))
			}
		}
	}
	t.Logf("bound %v, a prefill of up to %d rows took %v", bound, chunk, best)
	if best > 2*bound {
		t.Errorf("a prefill took %v, the bound is %v", best, bound)
	}
}
