package inference

import (
	"slices"
	"testing"
)

// A load tells of each step, never goes back, and is whole only at its end.
func TestLoadProgress(t *testing.T) {
	for _, v := range []Verify{VerifyAuto, VerifyOff} {
		var told []Progress
		openEngine(t, "testdata/llama-sharded", Options{Device: "ref", Verify: v, Progress: func(p Progress) { told = append(told, p) }})
		var phases []string
		for i, p := range told {
			if !slices.Contains(phases, p.Phase) {
				phases = append(phases, p.Phase)
			}
			if i > 0 && (p.Share < told[i-1].Share || p.Done < told[i-1].Done || p.Layers < told[i-1].Layers) {
				t.Errorf("%+v after %+v", p, told[i-1])
			}
			if p.Share >= 1 && i < len(told)-1 {
				t.Errorf("whole at step %d of %d: %+v", i+1, len(told), p)
			}
		}
		want := []string{"populate", "place", "cache", "verify", "warmup"}
		if v == VerifyOff {
			want = slices.Delete(want, 3, 4)
		}
		if last := told[len(told)-1]; !slices.Equal(phases, want) || last.Share < 0.999 || last.Done != last.Total || last.Layers != last.LayersTotal {
			t.Errorf("%s: phases %v, last %+v", v, phases, last)
		}
	}
}
