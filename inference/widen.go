package inference

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// Widening is the matrices of one format that the device has no kernel for. They
// are kept as float32.
type Widening struct {
	Device   string // kind
	Format   string
	Matrices int
	Bytes    int64 // in the file
	Wide     int64 // in memory
}

func (w Widening) String() string {
	return fmt.Sprintf("%s has no kernel for %s: %d matrices are widened to F32 while loading, %d bytes become %d", w.Device, w.Format, w.Matrices, w.Bytes, w.Wide)
}

// widenings lists what the device will not compute with as it is, by format.
func (ins *Inspection) widenings(o Options) []Widening {
	found := map[tensor.DType]*Widening{}
	opened := backend.Options{Index: o.Index, Threads: o.Threads, ISA: o.ISA}
	for _, name := range ins.Source.Names() {
		t, _ := ins.Source.Tensor(name)
		if len(t.Shape) != 2 || t.Type == 0 || backend.WillCompute(o.Device, opened, t.Type) {
			continue
		}
		if found[t.Type] == nil {
			found[t.Type] = &Widening{Device: o.Device, Format: t.Format}
		}
		w := found[t.Type]
		w.Matrices++
		w.Bytes += t.Bytes
		w.Wide = plus(w.Wide, times(int64(t.Shape[0]), int64(tensor.F32.RowBytes(t.Shape[1]))))
	}
	var list []Widening
	for w := range maps.Values(found) {
		list = append(list, *w)
	}
	slices.SortFunc(list, func(a, b Widening) int { return cmp.Compare(a.Format, b.Format) })
	return list
}
