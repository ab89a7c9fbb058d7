package cuda

import (
	"fmt"
	"slices"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// projection is a backend.Linear whose weights were put into fragment order, once,
// when a plan first asked for it: only there it shows what follows, and with it which
// rows should lie together.
type projection struct {
	parts   []part
	k       int
	tiles   int // of a strip
	strips  int
	pairs   rowKind        // of the first part
	formats []tensor.DType // of quantised parts, each once; empty: they are bf16
	from    []cut          // which rows of the projection each part has; empty: gate and up
}

// part is a stretch of strips that lie in one allocation. The first of them is strip
// `first` of its matrix, whose rows are counted from column col of the result.
type part struct {
	w, bias                 driver.Ptr
	strips, rows, col, kind int32
	span, biasFormat, first int32
	format                  int32 // of the weights
}

// partsFor is the parts with the biases that an op has for their rows: the same weights may
// come with others.
func (p *projection) partsFor(l backend.Linear) []part {
	all := slices.Clone(p.parts)
	for i, c := range p.from {
		if b := l[c.part].B; b.Data != nil {
			all[i].bias, all[i].biasFormat = address(b)+driver.Ptr(c.row*b.Type.RowBytes(1)), int32(b.Type)
		}
	}
	return all
}

// packable tells whether a tensor that is allocated can be put into fragment order in
// its place; then its allocation has room for the padding.
func packable(use backend.Use, t tensor.DType, rows, cols int) bool {
	if use != backend.Weights || rows < 16 {
		return false
	}
	return t == tensor.BF16 && cols >= 16 && cols%4 == 0 || quantised(t) && recordsFor(cols) <= mostRecords
}

func packedBytes(t tensor.DType, rows, cols int) int64 {
	return int64(ceilDiv(rows, 16)) * int64(stripBytes(t, cols))
}

// stripBytes is the size of a strip of rows of k elements.
func stripBytes(t tensor.DType, k int) int {
	if quantised(t) {
		return recordsFor(k) * recordBytes(t)
	}
	return tilesFor(k) * 512
}

// prepare puts the weights of a plan's projections into fragment order where that was
// not done before.
func (d *Device) prepare(plan []op) {
	var room driver.Ptr
	tiles, k := 0, 0
	for i := range plan {
		o := &plan[i]
		if o.kind != opLinear || d.projections[o.linear[0].W.Data] != nil || !d.canPack(o.linear) {
			continue
		}
		var next *op
		if i+1 < len(plan) {
			next = &plan[i+1]
		}
		p, err := d.pack(o, next, &room)
		if err != nil {
			d.check(err)
			break
		}
		if len(p.formats) == 0 {
			tiles = max(tiles, p.tiles)
		}
		if recordsFor(p.k) <= chainRecords {
			k = max(k, p.k)
		}
		for _, part := range o.linear {
			d.projections[part.W.Data] = p
		}
	}
	if tiles > 0 && d.hopper { // of steps to come, so that nothing is allocated in one
		d.operandRoom(2, operandBytes(graphRows, 16*tiles))
	}
	if tiles > 0 {
		d.normedRoom(graphRows, 16*tiles)
	}
	if k > 0 && d.hopper {
		d.check(d.growExchange(k))
	}
	if room != 0 {
		d.check(d.drv.StreamSynchronize(d.stream))
		d.check(d.drv.MemFree(room))
	}
}

// canPack tells whether all parts are whole tensors with room for their padding, all bf16
// or all quantised.
func (d *Device) canPack(l backend.Linear) bool {
	if len(l) > 3 {
		return false
	}
	for i := range l {
		if w := l[i].W; w.Cols != l[0].W.Cols || quantised(w.Type) != quantised(l[0].W.Type) || d.sizes[w.Data] != [2]int{w.Rows, w.Cols} || d.projections[w.Data] != nil {
			return false
		}
	}
	return true
}

// cut is a stretch of rows of a projection with one kind.
type cut struct {
	part, row, rows int // of which part, from which row
	kind            rowKind
	span            int
}

// cuts decides the kinds: pairs where what follows wants them and sizes allow.
func cuts(l backend.Linear, next *op) (all []cut) {
	switch {
	case next != nil && next.kind == opRopeStore && turnable(l, next):
		kind := halves
		if next.rope.Interleaved {
			kind = neighbours
		}
		h, part, row := next.heads, 0, 0
		for i, rows := range []int{h.Q * h.Dim, h.KV * h.Dim, h.KV * h.Dim} {
			c := cut{part: part, row: row, rows: rows, kind: kind, span: h.Dim}
			if i == 2 {
				c.kind = natural
			}
			all = append(all, c)
			if row += rows; row == l[part].W.Rows {
				part, row = part+1, 0
			}
		}
		return all
	}
	for i := range l {
		all = append(all, cut{part: i, rows: l[i].W.Rows, kind: natural})
	}
	return all
}

// turnable tells whether a projection is q, k and v, in one part or three, of heads
// that are turned whole.
func turnable(l backend.Linear, o *op) bool {
	h := o.heads
	if o.rope.Cos.Cols*2 != h.Dim || h.Dim%16 != 0 || o.kv.K.Type.Block() > 1 || l.Out() != (h.Q+2*h.KV)*h.Dim {
		return false
	}
	return len(l) == 1 || len(l) == 3 && l[0].W.Rows == h.Q*h.Dim && l[1].W.Rows == h.KV*h.Dim
}

// gated tells whether a projection is gate and up, in one part or two, without biases,
// that go into SwiGLU.
func gated(l backend.Linear, next *op) bool {
	if next == nil || next.kind != opSwiGLU || len(l) > 2 || l.Out()%32 != 0 {
		return false
	}
	if len(l) == 2 && (l[0].W.Rows != l[1].W.Rows || l[0].W.Type != l[1].W.Type) {
		return false
	}
	return l[0].B.Data == nil && l[len(l)-1].B.Data == nil
}

// pack repacks the weights of an op in their place, through room, which grows.
func (d *Device) pack(o, next *op, room *driver.Ptr) (*projection, error) {
	l := o.linear
	p := &projection{k: l[0].W.Cols, tiles: tilesFor(l[0].W.Cols)}
	if quantised(l[0].W.Type) { // as wide as bf16, where a prompt wants them so
		p.tiles = recordsFor(p.k) * recordK / 16
	}
	total := int64(0)
	for i := range l {
		total += int64(l[i].W.Bytes())
	}
	if *room != 0 && total > d.room {
		if err := d.drv.StreamSynchronize(d.stream); err != nil {
			return nil, err
		}
		if err := d.drv.MemFree(*room); err != nil {
			return nil, err
		}
		*room = 0
	}
	if *room == 0 {
		var err error
		if *room, err = d.drv.MemAlloc(total); err != nil {
			return nil, fmt.Errorf("%d bytes to lay weights out: %w", total, err)
		}
		d.room = total
	}
	at := *room
	for i := range l {
		d.check(d.drv.CopyDtoDAsync(at, address(l[i].W), int64(l[i].W.Bytes()), d.stream))
		at += driver.Ptr(l[i].W.Bytes())
	}
	if gated(l, next) {
		p.pairs = gateUp
		d.packGateUp(p, l, *room)
	} else {
		d.packCuts(p, l, cuts(l, next), *room)
	}
	if len(p.formats) > 0 {
		d.growTaken(p)
		return p, d.growWide(p)
	}
	return p, nil
}

// packGateUp: strips of gate and up together fill the allocations one after the other.
func (d *Device) packGateUp(p *projection, l backend.Linear, room driver.Ptr) {
	span, first := l.Out()/2, 0
	for i := range l {
		n := l[i].W.Rows / 16
		p.add(part{
			w: address(l[i].W), strips: int32(n), rows: int32(2 * span), kind: int32(gateUp), span: int32(span), first: int32(first), format: int32(l[i].W.Type),
		})
		d.repackStrips(p, &p.parts[i], room, 2*span)
		first += n
	}
}

func (d *Device) packCuts(p *projection, l backend.Linear, all []cut, room driver.Ptr) {
	col := 0
	p.pairs = all[0].kind
	starts := make([]driver.Ptr, len(l))
	for i, at := 0, room; i < len(l); i++ {
		starts[i] = at
		at += driver.Ptr(l[i].W.Bytes())
	}
	for _, c := range all {
		w := l[c.part].W
		q := part{
			w:      address(w) + driver.Ptr(c.row/16*stripBytes(w.Type, p.k)),
			strips: int32(ceilDiv(c.rows, 16)), rows: int32(c.rows), col: int32(col), kind: int32(c.kind), span: int32(c.span), format: int32(w.Type),
		}
		p.add(q)
		p.from = append(p.from, c)
		d.repackStrips(p, &q, starts[c.part]+driver.Ptr(c.row*w.RowBytes()), c.rows)
		col += c.rows
	}
}

func (p *projection) add(q part) {
	p.parts = append(p.parts, q)
	p.strips += int(q.strips)
	if t := tensor.DType(q.format); quantised(t) && !slices.Contains(p.formats, t) {
		p.formats = append(p.formats, t)
	}
}

func (d *Device) repackStrips(p *projection, q *part, from driver.Ptr, rows int) {
	if t := tensor.DType(q.format); quantised(t) {
		records := recordsFor(p.k)
		launch(d, d.kern.quantPack[t], grid(int(q.strips), records), 32*warps, &quantPackParams{
			dst: q.w, src: from, rowBytes: int64(t.RowBytes(p.k)), rows: int32(rows), k: int32(p.k), chunks: int32(records), kind: q.kind, span: q.span, first: q.first,
		})
		return
	}
	launch(d, d.kern.repack, grid(int(q.strips), ceilDiv(p.tiles, 8)), 256, &repackParams{
		dst: q.w, src: from, rows: int32(rows), k: int32(p.k), tiles: int32(p.tiles), kind: q.kind, span: q.span, first: q.first,
	})
}
