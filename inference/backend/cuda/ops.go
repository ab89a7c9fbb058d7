package cuda

import (
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

// launch puts a kernel into the stream.
func launch[P any](d *Device, f driver.Function, grid [3]uint32, threads int, p *P) {
	if d.broken() || grid[0] == 0 {
		return
	}
	c := driver.LaunchConfig{Grid: grid, Block: [3]uint32{uint32(threads)}, Programmatic: d.programmatic}
	d.check(d.drv.Launch(f, d.stream, c, driver.Params(p)))
}

func grid(x, y int) [3]uint32 { return [3]uint32{uint32(x), uint32(y), 1} }

func words32(b []byte) []int32 { return unsafe.Slice((*int32)(unsafe.Pointer(&b[0])), len(b)/4) }

func flag(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// Embed implements backend.Ops.
func (d *Device) Embed(dst, table backend.Tensor, b *backend.Batch) {
	d.record(b, &op{kind: opEmbed, dst: dst, w: table})
}

// Rows implements backend.Ops.
func (d *Device) Rows(dst, x backend.Tensor, b *backend.Batch) {
	d.record(b, &op{kind: opRows, dst: dst, x: x})
}

// RMSNorm implements backend.Ops.
func (d *Device) RMSNorm(dst, x, w backend.Tensor, eps float32) {
	d.record(nil, &op{kind: opNorm, dst: dst, x: x, w: w, eps: eps})
}

// HeadNorm implements backend.Ops.
func (d *Device) HeadNorm(qkv, wq, wk backend.Tensor, h backend.Heads, eps float32) {
	d.record(nil, &op{kind: opHeadNorm, dst: qkv, x: qkv, w: wq, w2: wk, heads: h, eps: eps})
}

// SwiGLU implements backend.Ops.
func (d *Device) SwiGLU(dst, gateUp backend.Tensor) {
	d.record(nil, &op{kind: opSwiGLU, dst: dst, x: gateUp})
}

// Linear implements backend.Ops.
func (d *Device) Linear(dst, x backend.Tensor, w backend.Linear, b *backend.Batch) {
	d.record(nil, &op{kind: opLinear, dst: dst, x: x, linear: w, decode: decodeRows(x, b)})
}

// LinearAdd implements backend.Ops.
func (d *Device) LinearAdd(dst, x backend.Tensor, w backend.Linear, b *backend.Batch) {
	d.record(nil, &op{kind: opLinear, dst: dst, x: x, linear: w, decode: decodeRows(x, b), add: true})
}

func decodeRows(x backend.Tensor, b *backend.Batch) int {
	if b == nil {
		return x.Rows
	}
	return b.Decode
}

// RopeStore implements backend.Ops.
func (d *Device) RopeStore(qkv backend.Tensor, kv backend.KV, r backend.Rope, h backend.Heads, b *backend.Batch) {
	d.record(b, &op{kind: opRopeStore, dst: qkv, kv: kv, rope: r, heads: h})
}

// Attend implements backend.Ops.
func (d *Device) Attend(dst, qkv backend.Tensor, kv backend.KV, h backend.Heads, b *backend.Batch) {
	d.record(b, &op{kind: opAttend, dst: dst, x: qkv, kv: kv, heads: h})
}

// plain launches one op as it is.
func (d *Device) plain(o *op) {
	switch dst, x := address(o.dst), address(o.x); o.kind {
	case opEmbed:
		d.embed(o)
	case opRows:
		launch(d, d.kern.rows, grid(o.dst.Rows, 1), 256, &rowsParams{dst: dst, x: x, index: d.batch.word(d.batch.at.logits), cols: int32(o.x.Cols)})
	case opNorm:
		d.rmsNorm(o, 0)
	case opHeadNorm:
		launch(d, d.kern.headNorm, grid(o.dst.Rows, o.heads.Q+o.heads.KV), 32, &headNormParams{
			qkv: dst, wq: address(o.w), wk: address(o.w2), cols: int64(o.dst.Cols), q: int32(o.heads.Q), kv: int32(o.heads.KV),
			dim: int32(o.heads.Dim), formatQ: int32(o.w.Type), formatK: int32(o.w2.Type), eps: o.eps,
		})
	case opSwiGLU:
		d.swiglu(o, 0)
	case opLinear:
		d.plainLinear(o)
	case opRopeStore:
		d.ropeStore(o, 0)
	}
}

// rmsNorm, swiglu and ropeStore launch an op for its rows from `from` on.
func (d *Device) rmsNorm(o *op, from int) {
	launch(d, d.kern.rmsNorm, grid(o.x.Rows-from, 1), 256, &normParams{
		dst: rowOf(o.dst, from), x: rowOf(o.x, from), w: address(o.w), cols: int32(o.x.Cols), format: int32(o.w.Type), eps: o.eps,
	})
}

func (d *Device) swiglu(o *op, from int) {
	n := (o.dst.Rows - from) * o.dst.Cols
	launch(d, d.kern.swiglu, grid(ceilDiv(n, 256), 1), 256, &swigluParams{
		dst: rowOf(o.dst, from), gateUp: rowOf(o.x, from), n: int64(n), cols: int32(o.dst.Cols),
	})
}

func (d *Device) ropeStore(o *op, from int) {
	p := d.ropeStoreParams(o, from)
	if o.heads.Dim%8 == 0 && o.heads.Dim == 2*o.rope.Cos.Cols && o.kv.K.Type.Block() == 1 {
		launch(d, d.kern.ropeRows, grid(o.dst.Rows-from, 1), 256, &p)
		return
	}
	launch(d, d.kern.ropeStore, grid(o.dst.Rows-from, o.heads.Q+2*o.heads.KV), ceilDiv(o.heads.Dim, 32)*32, &p)
}

func (d *Device) ropeStoreParams(o *op, from int) ropeStoreParams {
	b := d.batch.params()
	b.positions += driver.Ptr(4 * from)
	b.tables += driver.Ptr(4 * from)
	return ropeStoreParams{
		qkv: rowOf(o.dst, from), cos: address(o.rope.Cos), sin: address(o.rope.Sin), batch: b, cache: cacheOf(o.kv), heads: headsOf(o.heads),
		half: int32(o.rope.Cos.Cols), interleaved: flag(o.rope.Interleaved),
	}
}

func (d *Device) embed(o *op) {
	tokens := tokensParams{rows: d.batch.word(d.batch.at.tokens), chosen: d.ids}
	p := d.projections[o.w.Data] // of a head that is tied to the table
	if p != nil && len(p.formats) > 0 {
		launch(d, d.kern.quantEmbed[o.w.Type], grid(o.dst.Rows, 1), 512, &quantEmbedParams{
			dst: address(o.dst), table: address(o.w), tokens: tokens, cols: int32(o.dst.Cols), chunks: int32(recordsFor(p.k)),
		})
		return
	}
	if p != nil {
		launch(d, d.kern.embedPacked, grid(o.dst.Rows, 1), 256, &embedPackedParams{
			dst: address(o.dst), table: address(o.w), tokens: tokens, cols: int32(o.dst.Cols), tiles: int32(p.tiles),
		})
		return
	}
	launch(d, d.kern.embed, grid(o.dst.Rows, 1), 256, &embedParams{
		dst: address(o.dst), table: address(o.w), tokens: tokens,
		rowBytes: int64(o.w.RowBytes()), cols: int32(o.dst.Cols), format: int32(o.w.Type),
	})
}

func (d *Device) plainLinear(o *op) {
	col := 0
	for i := range o.linear {
		p := &o.linear[i]
		launch(d, d.kern.linear[p.W.Type], grid(ceilDiv(p.W.Rows, 8), ceilDiv(o.x.Rows, 8)), 256, &linearParams{
			dst: address(o.dst) + driver.Ptr(4*col), x: address(o.x), w: address(p.W), b: address(p.B), rowBytes: int64(p.W.RowBytes()),
			m: int32(o.x.Rows), k: int32(o.x.Cols), rows: int32(p.W.Rows), ldd: int32(o.dst.Cols),
			biasFormat: int32(p.B.Type), add: flag(o.add),
		})
		col += p.W.Rows
	}
}

func cacheOf(kv backend.KV) cacheParams {
	return cacheParams{k: address(kv.K), v: address(kv.V), rowBytes: int64(kv.K.RowBytes()), format: int32(kv.K.Type), size: int32(kv.PageSize)}
}

func headsOf(h backend.Heads) headsParams {
	return headsParams{q: int32(h.Q), kv: int32(h.KV), dim: int32(h.Dim), window: int32(h.Window), scale: h.Scale}
}
