package cpu

// #include "llo.h"
import "C"

import (
	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// met are the formats of the matrices of so many columns: what an activation of
// that width is multiplied with, and may have to be packed for.
type met map[int]map[tensor.DType]bool

// note takes a weight in. One of a single row is a norm or a bias.
func (m *met) note(t tensor.DType, rows, cols int) {
	if rows == 1 {
		return
	}
	if *m == nil {
		*m = met{}
	}
	if (*m)[cols] == nil {
		(*m)[cols] = map[tensor.DType]bool{}
	}
	(*m)[cols][t] = true
}

// packedMost bounds the packings of an activation in one op: all rows in the layouts
// that its weights want of them in one phase, and a group begun of each in the other.
// Weights that came after their activation may want more; the buffer then grows once.
func (d *Device) packedMost(t backend.Tensor) int {
	layout := func(p, rows int) int { return int(C.llo_packed(d.kern, C.int(p), C.int64_t(rows), C.int64_t(t.Cols))) }
	most, begun := 0, 0
	for prefill := range C.int(2) {
		wanted, all := [C.LLO_PACKINGS]bool{}, 0
		for f := range d.met[t.Cols] {
			if p := C.llo_packing(d.kern, C.int(f), prefill); p >= 0 {
				wanted[p] = true
				wanted[C.LLO_GATHERED] = wanted[C.LLO_GATHERED] || p == C.LLO_BLOCKS && d.gathers(t.Rows)
			}
		}
		for p, want := range wanted {
			if want {
				all, begun = all+layout(p, t.Rows), begun+layout(p, 1)
			}
		}
		most = max(most, all)
	}
	if most == 0 {
		return 0
	}
	return most + begun + 64*C.LLO_PACKINGS
}
