package inference

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

// TestWantedRows: a row's logits have the same bits whichever other rows' are wanted, of prompts and of rows of the decode phase.
func TestWantedRows(t *testing.T) {
	const n = 13
	for _, dir := range goldenModels(t) {
		g := readGolden(t, dir)
		var ids []int32
		for _, p := range g.Prompts {
			ids = append(ids, p.IDs...)
		}
		ids = ids[:n]
		for _, o := range variants() {
			for _, decode := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s%s/decode=%v", filepath.Base(dir), o.Device, o.ISA, decode), func(t *testing.T) {
					r := newRig(t, dir, o)
					r.forward(t, ids, decode, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
					if len(r.wanted) != n {
						t.Fatalf("%d rows of logits, want %d", len(r.wanted), n)
					}
					all := r.logits
					for _, wanted := range [][]int{nil, {0}, {3, 4, 11}} {
						r.rows = 0
						r.forward(t, ids, decode, wanted...)
						if len(r.wanted) != len(wanted)+1 {
							t.Fatalf("%d rows of logits, want %d", len(r.wanted), len(wanted)+1)
						}
						for at, row := range r.wanted {
							got, want := r.logits[at*r.spec.Vocab:(at+1)*r.spec.Vocab], all[int(row)*r.spec.Vocab:(int(row)+1)*r.spec.Vocab]
							if !slices.Equal(got, want) {
								t.Errorf("row %d, beside %v: other bits than beside all", row, wanted)
							}
						}
					}
				})
			}
		}
	}
}
