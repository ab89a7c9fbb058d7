//go:build cgo

package cpu_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"llorch/inference/backend/cpu"
	"llorch/inference/tensor"
)

var blocked = []tensor.DType{
	tensor.Q4_0, tensor.Q4_1, tensor.Q5_0, tensor.Q5_1, tensor.Q8_0, tensor.Q2_K, tensor.Q3_K, tensor.Q4_K, tensor.Q5_K, tensor.Q6_K,
}

// TestBlockedRowsAreTheirOwn: with blocked weights a decode row has the bits it has
// alone, in every number of rows for which there is a kernel of its own, for rows
// of one block to several panels and numbers of weight rows that no kernel divides.
func TestBlockedRowsAreTheirOwn(t *testing.T) {
	const most = 37
	for _, isa := range append(cpu.ISAs(), "amx-emulated") {
		if isa == "amx-emulated" && !runs("avx512") {
			continue // what it emulates belongs to processors that have that
		}
		d := device(t, isa, 2)
		r := rand.New(rand.NewPCG(5, 5))
		for _, f := range blocked {
			for _, shape := range [][2]int{{37, 2}, {6, 5}, {1, 1}, {5, 264 / f.Block() * 32}} {
				out, k := shape[0], shape[1]*f.Block()
				l, _ := placed(t, d, r, f, out, k)
				x := normals(r, most*k)
				all := run(t, d, l, x, phased(most, most))
				for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 11, 16, 17, 33} {
					name := fmt.Sprintf("%s %v, %d rows of %d columns to %d", isa, f, n, k, out)
					sameBits(t, name, run(t, d, l, x[:n*k], phased(n, n)), all[:n*out])
				}
			}
		}
	}
}

func runs(isa string) bool {
	for _, name := range cpu.ISAs() {
		if name == isa {
			return true
		}
	}
	return false
}
