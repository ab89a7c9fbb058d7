package backendtest

import (
	"errors"
	"math"
	"slices"

	"llorch/inference/backend"
	"llorch/inference/sample"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// samples: every id equals that of package sample, in a batch of mixed
// parameters as alone.
func samples(r *rig) {
	for _, vocab := range []int{1, 2, 33, 1000, 32003} {
		seen := []int32{0, int32(vocab - 1)}
		if vocab == 1 {
			seen = seen[:1]
		}
		p := []sample.Params{
			{},
			{Seen: seen, RepetitionPenalty: 1.3},
			{Temperature: 1, TopP: 1, Seed: 1, Position: 7},
			{Temperature: 0.7, TopP: 0.9, TopK: 40, Seed: 42, Position: 1 << 33},
			{Temperature: 1.5, TopP: 0.95, MinP: 0.05, Seed: math.MaxUint64, Seen: seen, RepetitionPenalty: 1.1},
			{Temperature: 0.01, TopP: 1, TopK: vocab, Seed: 3},
			{Temperature: 1, TopP: 0, Seed: 9},
			{Temperature: 2, TopP: 1, MinP: 1, Seed: 9, RepetitionPenalty: 0.5, Seen: seen},
		}
		logits := r.values(len(p) * vocab)
		for i := range logits {
			logits[i] *= 5
		}
		logits[vocab/2], logits[vocab-1] = 100, 100 // a tie in the greedy row
		if vocab > 2 {
			logits[0], logits[vocab+1] = -inf, -inf // ids that are ruled out
		}
		var want []int32
		for i := range p {
			id, err := sample.Choose(slices.Clone(logits[i*vocab:(i+1)*vocab]), &p[i])
			if err != nil {
				r.Fatal(err)
			}
			want = append(want, id)
		}
		whole := slices.Repeat([]int32{-7}, len(p)+2)
		r.d.Sample(whole[1:len(p)+1], r.input(len(p), vocab, logits), p)
		r.sync()
		if !slices.Equal(whole[1:len(p)+1], want) || whole[0] != -7 || whole[len(p)+1] != -7 {
			r.Errorf("Sample of %d ids: %v, want %v between two -7", vocab, whole, want)
		}
	}
}

// sampleNotFinite: logits that are no numbers are a failure of the step, and one
// that does not last unless the device calls it a fault.
func sampleNotFinite(r *rig) {
	const vocab = 100
	for _, bad := range []float32{nan, inf} {
		for _, p := range []sample.Params{{}, {Temperature: 1, TopP: 1}, {Temperature: 1, TopP: 0.5, TopK: 3}} {
			logits, ids := r.values(3*vocab), make([]int32, 3)
			logits[2*vocab-1] = bad
			r.d.Sample(ids, r.input(3, vocab, logits), []sample.Params{p, p, p})
			err := r.d.Sync()
			if backend.IsFault(err) {
				return
			}
			if !errors.Is(err, sample.ErrNotFinite) {
				r.Errorf("Sample of %v: %v", bad, err)
			}
			r.sync()
		}
	}
}
