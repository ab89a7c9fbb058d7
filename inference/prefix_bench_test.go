package inference

import (
	"fmt"
	"testing"
	"time"

	"llorch/inference/synthetic"
)

// BenchmarkKnownPrompt measures how much sooner the first token of a prompt of
// 500 tokens comes that was computed before: new and known prompts in turns, the
// quickest of each.
func BenchmarkKnownPrompt(b *testing.B) {
	shape := synthetic.Shape{Name: "bench", Hidden: 1024, FFN: 2816, Layers: 8, Heads: 16, KVHeads: 4, HeadDim: 64, Vocab: 4096, Positions: 1024}
	path, err := synthetic.Ensure(b.TempDir()+"/model", shape, "bf16")
	if err != nil {
		b.Fatal(err)
	}
	e := openEngine(b, path, Options{MaxBatch: 1, Verify: VerifyOff})
	first := func(id string, ids []int32, cached int) float64 {
		began := time.Now()
		events, err := e.submit(e.newSequence(b.Context(), Request{ID: id, MaxTokens: 1}, ids))
		if err != nil {
			b.Fatal(err)
		}
		if a := collect(b, events); a.err != nil || a.end.TokensCached != cached {
			b.Fatalf("%+v %v", a.end, a.err)
		}
		return time.Since(began).Seconds()
	}
	fresh, known, turn := 1e9, 1e9, int32(0)
	for b.Loop() {
		turn++
		ids := make([]int32, 500)
		ids[0] = turn
		fresh = min(fresh, first(fmt.Sprint("new ", turn), ids, 0))
		for again := range 3 {
			known = min(known, first(fmt.Sprint("known ", turn, again), ids, 480))
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(fresh*1e3, "ms/new")
	b.ReportMetric(known*1e3, "ms/known")
	b.ReportMetric(fresh/known, "times")
}
