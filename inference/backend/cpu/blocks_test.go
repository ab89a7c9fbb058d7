//go:build cgo

package cpu_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cpu"
	"llorch/inference/tensor"
)

var blocked = []tensor.DType{
	tensor.Q4_0, tensor.Q4_1, tensor.Q5_0, tensor.Q5_1, tensor.Q8_0, tensor.Q2_K, tensor.Q3_K, tensor.Q4_K, tensor.Q5_K, tensor.Q6_K,
}

// TestBlockedRowsAreTheirOwn: with blocked weights a decode row has the bits it has
// alone, in every number of rows for which there is a kernel of its own, for rows
// of one block to several panels and numbers of weight rows that no kernel divides or that
// make several streams of sixteen.
func TestBlockedRowsAreTheirOwn(t *testing.T) {
	const most = 37
	for _, isa := range append(cpu.ISAs(), "amx-emulated") {
		if isa == "amx-emulated" && !runs("avx512") {
			continue // what it emulates belongs to processors that have that
		}
		d := device(t, isa, 2)
		r := rand.New(rand.NewPCG(5, 5))
		for _, f := range blocked {
			for _, shape := range [][2]int{{37, 2}, {6, 5}, {1, 1}, {5, 264 / f.Block() * 32}, {117, 9}, {53, 21}} {
				out, k := shape[0], shape[1]*f.Block()
				l, _ := placed(t, d, r, f, out, k)
				x := normals(r, most*k)
				all := run(t, d, l, x, phased(most, most))
				for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 17, 33} {
					name := fmt.Sprintf("%s %v, %d rows of %d columns to %d", isa, f, n, k, out)
					sameBits(t, name, run(t, d, l, x[:n*k], phased(n, n)), all[:n*out])
				}
			}
		}
	}
}

// TestBlockedBiasIsAdded: the same of projections with a bias that are added to what is
// there, stacked of parts of two formats.
func TestBlockedBiasIsAdded(t *testing.T) {
	const most, k = 17, 320
	for _, isa := range cpu.ISAs() {
		d := device(t, isa, 2)
		r := rand.New(rand.NewPCG(6, 6))
		var l backend.Linear
		for _, part := range []struct {
			f   tensor.DType
			out int
		}{{tensor.Q8_0, 20}, {tensor.Q4_0, 53}, {tensor.Q4_0, 16}} {
			w, _ := placed(t, d, r, part.f, part.out, k)
			b, _ := placed(t, d, r, tensor.F32, 1, part.out)
			l = append(l, backend.Part{W: w[0].W, B: b[0].W})
		}
		x, there := normals(r, most*k), normals(r, most*l.Out())
		added := func(from, n int) []float32 {
			dst := input(t, d, n, l.Out(), there[from*l.Out():][:n*l.Out()])
			d.LinearAdd(dst, input(t, d, n, k, x[from*k:][:n*k]), l, phased(n, n))
			if err := d.Sync(); err != nil {
				t.Fatal(err)
			}
			return dst.Float32s()
		}
		var alone []float32
		for row := range most {
			alone = append(alone, added(row, 1)...)
		}
		for _, n := range []int{3, 8, most} {
			sameBits(t, fmt.Sprintf("%s, %d rows", isa, n), added(0, n), alone[:n*l.Out()])
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
