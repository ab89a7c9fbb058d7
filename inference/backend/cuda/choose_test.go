package cuda

import (
	"testing"

	"llorch/inference/sample"
)

// TestTogether: a launch has so many rows, and so many ids that they are penalized for; a row alone always goes.
func TestTogether(t *testing.T) {
	penalized := func(n int) sample.Params {
		return sample.Params{RepetitionPenalty: 2, Seen: make([]int32, n)}
	}
	long := make([]sample.Params, 100)
	for _, c := range []struct {
		params   []sample.Params
		rows, of int
	}{
		{long, chooseRows, 0}, {long[:3], 3, 0},
		{[]sample.Params{penalized(mostSeen), {Seen: make([]int32, 7)}, penalized(1)}, 2, mostSeen},
		{[]sample.Params{penalized(10), penalized(20)}, 2, 30},
		{[]sample.Params{penalized(mostSeen - 1), penalized(2)}, 1, mostSeen - 1},
	} {
		if rows, ids := together(c.params); rows != c.rows || ids != c.of {
			t.Errorf("%d rows: %d with %d ids, want %d with %d", len(c.params), rows, ids, c.rows, c.of)
		}
	}
}

// TestChooseBlocks: all rows are chosen at once, by as many blocks as there are, each with ids to take.
func TestChooseBlocks(t *testing.T) {
	d := &Device{kern: &functions{clusters: &clusters{resident: map[int]int{1: 132, 2: 66, 4: 30, 8: 15}}}}
	for _, c := range []struct{ rows, vocab, want int }{
		{1, 128256, 8}, {15, 32000, 8}, {16, 32000, 4}, {32, 32000, 2}, {64, 128256, 2}, {1, 4096, 1}, {1, 4097, 2}, {8, 16000, 4},
	} {
		if got := d.chooseBlocks(c.rows, c.vocab, false); got != c.want {
			t.Errorf("%d rows of %d: %d blocks each, want %d", c.rows, c.vocab, got, c.want)
		}
	}
	for _, c := range []struct{ rows, vocab, want int }{{1, 32000, 8}, {2, 32000, 4}, {8, 32000, 1}, {64, 32000, 1}, {4, 128256, 8}, {8, 128256, 4}, {32, 128256, 2}, {1, 4096, 1}} {
		if got := d.chooseBlocks(c.rows, c.vocab, true); got != c.want {
			t.Errorf("%d greedy rows of %d: %d blocks each, want %d", c.rows, c.vocab, got, c.want)
		}
	}
	d.kern.clusters = nil
	if got := d.chooseBlocks(1, 128256, false); got != 1 {
		t.Errorf("%d blocks without clusters", got)
	}
}

func TestLeads(t *testing.T) {
	for want, rows := range map[bool][][]sample.Params{
		true:  {{{}}, {{}, {TopK: 3}, {RepetitionPenalty: 1, Seen: []int32{1}}}},
		false: {{{}, {Temperature: 0.1}}, {{RepetitionPenalty: 1.1}}},
	} {
		for i := range rows {
			if leads(rows[i]) != want {
				t.Errorf("%+v: %v", rows[i], !want)
			}
		}
	}
}
