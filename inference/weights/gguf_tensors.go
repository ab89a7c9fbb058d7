package weights

import "math"

// infos reads the descriptions of n tensors. Their offsets are still the file's
// own, which begin where the data do.
func (g *ggufScan) infos(n int64) []Tensor {
	tensors := make([]Tensor, 0, n)
	for int64(len(tensors)) < n && g.err == nil {
		g.tensor = ""
		at := g.at
		t := Tensor{Name: g.text("the name of a tensor", maxName)}
		if reason := badName(t.Name); reason != "" {
			g.fail(at, "%s", reason)
		}
		g.tensor = t.Name
		t.Shape = g.shape()
		g.format(&t)
		at = g.at
		if offset := g.u64("the offset"); g.err == nil && offset > uint64(g.size) {
			g.fail(at, "the data begin at byte %d of the data of a file of %d", offset, g.size)
		} else {
			t.Offset = int64(offset)
		}
		tensors = append(tensors, t)
	}
	g.tensor = ""
	return tensors
}

// shape reads the dimensions, which GGUF lists innermost first, and returns them
// outermost first.
func (g *ggufScan) shape() []int {
	at := g.at
	rank := g.u32("the number of dimensions")
	if g.err == nil && (rank < 1 || rank > maxGGUFDims) {
		g.fail(at, "%d dimensions; a tensor has 1 to %d", rank, maxGGUFDims)
	}
	if g.err != nil {
		return nil
	}
	shape := make([]int, rank)
	for i := range shape {
		at := g.at
		d := g.length("a dimension", math.MaxInt64)
		n, err := toInt(d)
		if g.err == nil && (err != nil || n == 0) {
			g.fail(at, "dimension %d is %d", i, d)
		}
		shape[len(shape)-1-i] = n
	}
	return shape
}

// format reads the type and works out the bytes the tensor takes.
func (g *ggufScan) format(t *Tensor) {
	at := g.at
	id := g.u32("the type")
	kind, ok := ggufTypes[id]
	if g.err != nil {
		return
	}
	if gone, was := ggufGone[id]; was {
		g.fail(at, "type %d is %s; convert the model again", id, gone)
		return
	}
	if !ok {
		g.fail(at, "type %d, which this program does not know", id)
		return
	}
	t.Format, t.Type = kind.name, kind.dtype
	row := int64(t.Shape[len(t.Shape)-1])
	if row%kind.block != 0 {
		g.fail(at, "rows of %d elements are no whole blocks of the %d of %s", row, kind.block, kind.name)
		return
	}
	elements, err := product(t.Shape)
	if err == nil {
		t.Bytes, err = mul(elements/kind.block, kind.bytes)
	}
	if err != nil {
		g.fail(at, "shape %v of %s: %v", t.Shape, kind.name, err)
	}
}

// layout turns the offsets into those of the file, and checks that the tensors
// follow each other in the order of the header, each from the first multiple of
// the alignment on, and that nothing follows them but padding.
func (g *ggufScan) layout(f *File, tensors []Tensor, alignment int64) {
	data, err := alignUp(g.at, alignment)
	if err != nil {
		g.fail(g.at, "where the data begin: %v", err)
	}
	if len(tensors) == 0 { // a vocabulary alone; the padding may be missing
		data = min(data, g.size)
	}
	f.Header = data
	end, unpadded := data, data
	for i := range tensors {
		t := &tensors[i]
		g.tensor = t.Name
		if end, unpadded = g.place(t, data, end, alignment); g.err != nil {
			return
		}
	}
	g.tensor = ""
	if g.err == nil && g.size > end {
		g.fail(unpadded, "%d bytes that belong to no tensor at the end of the file", g.size-unpadded)
	}
}

// place checks one tensor, which is to begin at byte want of the file, and
// returns where the next begins and where this one ends.
func (g *ggufScan) place(t *Tensor, data, want, alignment int64) (next, end int64) {
	offset, err := add(data, t.Offset)
	if err == nil {
		end, err = add(offset, t.Bytes)
	}
	if err == nil {
		next, err = alignUp(end, alignment)
	}
	switch {
	case err != nil:
		g.fail(-1, "offset %d and %d bytes: %v", t.Offset, t.Bytes, err)
	case t.Offset%alignment != 0:
		g.fail(offset, "offset %d is no multiple of the alignment, %d", t.Offset, alignment)
	case end > g.size:
		g.fail(offset, "%d bytes from byte %d on end beyond the file's %d bytes; the download may be incomplete", t.Bytes, offset, g.size)
	case offset < want:
		g.fail(offset, "the data overlap those of the tensor before")
	case offset > want:
		g.fail(want, "a hole of %d bytes before the data", offset-want)
	}
	t.Offset = offset
	return next, end
}
