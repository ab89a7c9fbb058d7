package inference

import (
	"cmp"
	"context"
	"slices"
	"time"

	"llorch/inference/backend"
	"llorch/inference/weights"
)

// delivery is how weights get to the device: from a mapping that was read in, or as
// pieces of the files where the device has memory of its own and takes them so.
type delivery struct {
	ins    *Inspection
	check  *fileCheck // nil: nothing is checked
	filler backend.Filler
	pass   *weights.Pass // nil: mapped
	placed []placement
	stops  []func()

	populated int64 // bytes of a mapping that are in memory
}

// placement is a weight that has its memory on the device and not its bytes yet.
type placement struct {
	from *weights.Tensor
	to   backend.Tensor
}

// deliver maps the files of a model, or begins a pass over them, and begins to check
// them. stop must be called.
func deliver(ctx context.Context, ins *Inspection, d backend.Device, v Verify) (*delivery, error) {
	w := &delivery{ins: ins, filler: backend.Filling(d)}
	if w.filler == nil {
		if err := ins.Source.Map(); err != nil {
			return nil, err
		}
	}
	check, err := readyCheck(ctx, ins.Source, v)
	if err != nil {
		return nil, err
	}
	w.check = check
	switch {
	case w.filler != nil:
		w.pass = ins.Source.Pass(ctx, check.wanted(), backend.PieceBytes)
		w.stops = append(w.stops, w.pass.Stop)
		check.by(w.pass)
	case check != nil:
		x := ins.Source.Examine(ctx, *check.wanted())
		w.stops = append(w.stops, x.Stop) // whatever happens: it reads the mapping
		check.by(x)
	}
	return w, nil
}

func (w *delivery) stop() {
	for _, f := range w.stops {
		f()
	}
}

// watch has m count a byte when it is in memory and, where bytes are checked, checked.
func (w *delivery) watch(m *loadMeter) {
	switch {
	case w.pass != nil:
		m.loaded = w.pass.Done
	case w.check != nil:
		m.loaded = w.check.Done
	default:
		m.loaded = func() int64 { return w.populated }
	}
}

// populate brings a mapping into memory.
func (w *delivery) populate(ctx context.Context, m *loadMeter) error {
	if w.pass != nil {
		m.step("populate")
		return nil
	}
	var x *weights.Examination
	if w.check != nil {
		x = w.check.examined.(*weights.Examination)
	}
	return w.ins.Source.Populate(ctx, x, func(done, _ int64) { w.populated = done; m.step("populate") })
}

// later is what model.Limits.Later is: nil where weights are there when they are placed.
func (w *delivery) later() func(*weights.Tensor, backend.Tensor) {
	if w.pass == nil {
		return nil
	}
	return func(from *weights.Tensor, to backend.Tensor) { w.placed = append(w.placed, placement{from, to}) }
}

// fill reads the files, where nothing was mapped.
func (w *delivery) fill(m *loadMeter) error {
	if w.pass == nil {
		return nil
	}
	told := time.Now()
	m.step("populate")
	return w.filler.Fill(w.pieces(), w.pass.Read, func(int) {
		if now := time.Now(); now.Sub(told) >= tellEvery {
			told = now
			m.step("populate")
		}
	})
}

// pieces says where the spans of the pass go.
func (w *delivery) pieces() []backend.Piece {
	slices.SortFunc(w.placed, func(a, b placement) int {
		return cmp.Or(cmp.Compare(a.from.File, b.from.File), cmp.Compare(a.from.Offset, b.from.Offset))
	})
	spans := w.pass.Spans()
	pieces := make([]backend.Piece, len(spans))
	for i, s := range spans {
		pieces[i] = backend.Piece{Bytes: int(s.To - s.From), Copies: copies(w.placed, s)}
	}
	return pieces
}

// copies lists what of a span goes to which weight; placed is in the order of the files.
func copies(placed []placement, s weights.Span) (all []backend.Copy) {
	first, _ := slices.BinarySearchFunc(placed, s, func(p placement, s weights.Span) int {
		if p.from.File < s.File || p.from.File == s.File && p.from.Offset+p.from.Bytes <= s.From {
			return -1
		}
		return 1
	})
	for _, p := range placed[first:] {
		if p.from.File != s.File || p.from.Offset >= s.To {
			break
		}
		from, to := max(s.From, p.from.Offset), min(s.To, p.from.Offset+p.from.Bytes)
		if from < to {
			all = append(all, backend.Copy{From: int(from - s.From), Bytes: int(to - from), To: p.to, At: from - p.from.Offset})
		}
	}
	return all
}
