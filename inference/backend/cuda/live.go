package cuda

import "llorch/inference/backend"

// reads tells whether o reads memory of s.
func (o *op) reads(s extent) bool {
	return extentOf(o.x).meets(s) || (o.add || o.kind == opRopeStore) && extentOf(o.dst).meets(s)
}

// writes is the memory that o writes all of.
func (o *op) writes() extent {
	if o.add || o.kind == opRopeStore {
		return extent{}
	}
	return extentOf(o.dst)
}

// extent is memory from an address to another; empty where there is none.
type extent struct{ from, to uintptr }

func extentOf(t backend.Tensor) extent {
	if t.Data == nil {
		return extent{}
	}
	return extent{uintptr(t.Data), uintptr(t.Data) + uintptr(t.Bytes())}
}

func (s extent) meets(o extent) bool { return s.from < o.to && o.from < s.to }

// less is s without what o covers of its beginning or its end.
func (s extent) less(o extent) extent {
	switch {
	case o.from <= s.from && s.to <= o.to:
		return extent{}
	case o.from <= s.from && s.from < o.to:
		s.from = o.to
	case o.from < s.to && s.to <= o.to:
		s.to = o.from
	}
	return s
}

// read tells whether t may be read after these ops of the plan, its last ones. Where tokens are to be drawn
// behind them the step is over: of what it leaves only logits are read.
func (d *Device) read(ops []op, t backend.Tensor) bool {
	return read(ops, t, d.over())
}

func (d *Device) over() bool { return len(d.drawing) > 0 }

// read tells whether t may be read after these ops: one reads of it what none before has
// written, or some of it is neither read nor written, and they are not all that the step does.
// Other tensors may share its memory, of other sizes: what they write of it is not t any more.
func read(ops []op, t backend.Tensor, over bool) bool {
	left := extentOf(t)
	for i := range ops {
		if ops[i].reads(left) {
			return true
		}
		if left = left.less(ops[i].writes()); left == (extent{}) {
			return false
		}
	}
	return !over
}
