package inference

import (
	"llorch/inference/backend"
	"llorch/inference/tensor"
	"llorch/inference/weights"
)

// Room is what a device with memory of its own has for a model.
type Room = backend.Room

// RoomFor asks what the device of o has, without opening it; ok is false for one
// that computes from memory of the host. The error says why it cannot be used.
func RoomFor(o Options) (r Room, ok bool, err error) {
	o = o.withDefaults()
	return backend.RoomFor(o.Device, backend.Options{Index: o.Index, Threads: o.Threads, ISA: o.ISA})
}

// padding is what weights take on the device beyond their bytes.
func (ins *Inspection) padding(o Options, formats map[string]tensor.DType) int64 {
	var sum int64
	for _, name := range ins.Source.Names() {
		t, _ := ins.Source.Tensor(name)
		if len(t.Shape) != 2 {
			continue
		}
		format := ins.placedAs(o, t, formats)
		bytes := int64(t.Shape[0]) * int64(format.RowBytes(t.Shape[1]))
		sum = plus(sum, backend.Takes(o.Device, format, t.Shape[0], t.Shape[1])-bytes)
	}
	return sum
}

// placedAs is the format that a matrix has on the device.
func (ins *Inspection) placedAs(o Options, t *weights.Tensor, formats map[string]tensor.DType) tensor.DType {
	if to, ok := formats[t.Name]; ok {
		return to
	}
	if t.Type == 0 || !backend.WillCompute(o.Device, backend.Options{Index: o.Index, Threads: o.Threads, ISA: o.ISA}, t.Type) {
		return tensor.F32
	}
	return t.Type
}

// beside is what laying out the largest projection takes for a while: gate and up
// of a layer, q, k and v, or the head.
func (ins *Inspection) beside(o Options, formats map[string]tensor.DType) int64 {
	s, most := ins.Spec, int64(0)
	rows := max(s.Vocab, 2*s.FFN, (s.Heads+2*s.KVHeads)*s.HeadDim)
	seen := map[tensor.DType]bool{}
	for _, name := range ins.Source.Names() {
		t, _ := ins.Source.Tensor(name)
		if len(t.Shape) != 2 {
			continue
		}
		format := ins.placedAs(o, t, formats)
		if !seen[format] && s.Hidden%format.Block() == 0 {
			seen[format] = true
			most = max(most, backend.Beside(o.Device, format, int64(rows)*int64(format.RowBytes(s.Hidden))))
		}
		most = max(most, backend.Beside(o.Device, format, int64(t.Shape[0])*int64(format.RowBytes(t.Shape[1]))))
	}
	return most
}
