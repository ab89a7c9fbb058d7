package backend

import (
	"reflect"
	"testing"
)

// TestWanted: the rows whose logits are wanted, those of the decode phase counted, whatever the batch held before.
func TestWanted(t *testing.T) {
	w := Batch{Tokens: []int32{1, 2, 3}, Positions: []int32{1, 2, 3}, Logits: []int32{0, 1}, Decode: 2}
	for _, c := range []struct {
		logits, tokens, positions, rows []int32
		decode                          int
	}{
		{[]int32{0, 2, 5, 6}, []int32{10, 12, 15, 16}, []int32{5, 7, 2, 9}, []int32{0, 1, 2, 3}, 2},
		{[]int32{6}, []int32{16}, []int32{9}, []int32{0}, 0},
		{[]int32{2}, []int32{12}, []int32{7}, []int32{0}, 1},
		{nil, []int32{}, []int32{}, []int32{}, 0},
	} {
		b := Batch{
			Tokens: []int32{10, 11, 12, 13, 14, 15, 16}, Positions: []int32{5, 6, 7, 0, 1, 2, 9}, Decode: 3,
			Seqs: []Seq{{0, 3, []int32{1}}, {3, 3, []int32{2}}, {6, 1, []int32{3}}}, Logits: c.logits,
		}
		b.Wanted(&w)
		if want := (Batch{Tokens: c.tokens, Positions: c.positions, Logits: c.rows, Decode: c.decode}); !reflect.DeepEqual(w, want) {
			t.Errorf("logits of %v: %+v, want %+v", c.logits, w, want)
		}
	}
}
