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
			t.Run(fmt.Sprintf("%s/%s%s", filepath.Base(dir), o.Device, o.ISA), func(t *testing.T) {
				r := newRig(t, dir, o)
				for _, decode := range []bool{false, true} {
					r.wantedRows(t, ids, decode)
				}
			})
		}
	}
}

// wantedRows compares the logits of some rows with those that they have where all are wanted.
func (r *rig) wantedRows(t *testing.T, ids []int32, decode bool) {
	t.Helper()
	run := func(wanted ...int) []float32 {
		r.rows = 0
		r.forward(t, ids, decode, wanted...)
		if rows := len(r.logits) / r.spec.Vocab; rows != len(r.wanted) {
			t.Fatalf("%d rows of logits, want %d", rows, len(r.wanted))
		}
		return r.logits
	}
	var every []int
	for i := range ids {
		every = append(every, i)
	}
	all := run(every...)
	for _, wanted := range [][]int{nil, {0}, {3, 4, 11}} {
		got := run(wanted...)
		for i, row := range r.wanted {
			if at := int(row) * r.spec.Vocab; !slices.Equal(got[i*r.spec.Vocab:(i+1)*r.spec.Vocab], all[at:at+r.spec.Vocab]) {
				t.Errorf("decode %v, row %d beside %v: other bits than beside all", decode, row, wanted)
			}
		}
	}
}
