package cuda

import (
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

// launch puts a kernel into the stream.
func launch[P any](d *Device, f driver.Function, grid [3]uint32, threads int, p *P) {
	if d.dead() || grid[0] == 0 {
		return
	}
	c := driver.LaunchConfig{Grid: grid, Block: [3]uint32{uint32(threads)}}
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
	d.use(b)
	launch(d, d.kern.embed, grid(dst.Rows, 1), 256, &embedParams{
		dst: address(dst), table: address(table), tokens: d.batch.word(d.batch.at.tokens),
		rowBytes: int64(table.RowBytes()), cols: int32(dst.Cols), format: int32(table.Type),
	})
}

// Rows implements backend.Ops.
func (d *Device) Rows(dst, x backend.Tensor, b *backend.Batch) {
	d.use(b)
	launch(d, d.kern.rows, grid(dst.Rows, 1), 256, &rowsParams{
		dst: address(dst), x: address(x), index: d.batch.word(d.batch.at.logits), cols: int32(x.Cols),
	})
}

// RMSNorm implements backend.Ops.
func (d *Device) RMSNorm(dst, x, w backend.Tensor, eps float32) {
	launch(d, d.kern.rmsNorm, grid(x.Rows, 1), 256, &normParams{
		dst: address(dst), x: address(x), w: address(w), cols: int32(x.Cols), format: int32(w.Type), eps: eps,
	})
}

// HeadNorm implements backend.Ops.
func (d *Device) HeadNorm(qkv, wq, wk backend.Tensor, h backend.Heads, eps float32) {
	launch(d, d.kern.headNorm, grid(qkv.Rows, h.Q+h.KV), 32, &headNormParams{
		qkv: address(qkv), wq: address(wq), wk: address(wk), cols: int64(qkv.Cols),
		q: int32(h.Q), kv: int32(h.KV), dim: int32(h.Dim), formatQ: int32(wq.Type), formatK: int32(wk.Type), eps: eps,
	})
}

// SwiGLU implements backend.Ops.
func (d *Device) SwiGLU(dst, gateUp backend.Tensor) {
	n := dst.Rows * dst.Cols
	launch(d, d.kern.swiglu, grid((n+255)/256, 1), 256, &swigluParams{
		dst: address(dst), gateUp: address(gateUp), n: int64(n), cols: int32(dst.Cols),
	})
}

// Linear implements backend.Ops.
func (d *Device) Linear(dst, x backend.Tensor, w backend.Linear, b *backend.Batch) {
	d.linear(dst, x, w, b, false)
}

// LinearAdd implements backend.Ops.
func (d *Device) LinearAdd(dst, x backend.Tensor, w backend.Linear, b *backend.Batch) {
	d.linear(dst, x, w, b, true)
}

func (d *Device) linear(dst, x backend.Tensor, w backend.Linear, _ *backend.Batch, add bool) {
	col := 0
	for i := range w {
		p := &w[i]
		launch(d, d.kern.linear[p.W.Type], grid((p.W.Rows+7)/8, (x.Rows+7)/8), 256, &linearParams{
			dst: address(dst) + driver.Ptr(4*col), x: address(x), w: address(p.W), b: address(p.B), rowBytes: int64(p.W.RowBytes()),
			m: int32(x.Rows), k: int32(x.Cols), rows: int32(p.W.Rows), ldd: int32(dst.Cols),
			biasFormat: int32(p.B.Type), add: flag(add),
		})
		col += p.W.Rows
	}
}

// RopeStore implements backend.Ops.
func (d *Device) RopeStore(qkv backend.Tensor, kv backend.KV, r backend.Rope, h backend.Heads, b *backend.Batch) {
	d.use(b)
	launch(d, d.kern.ropeStore, grid(qkv.Rows, h.Q+2*h.KV), (h.Dim+31)/32*32, &ropeStoreParams{
		qkv: address(qkv), cos: address(r.Cos), sin: address(r.Sin), batch: d.batch.params(), cache: cacheOf(kv), heads: headsOf(h),
		half: int32(r.Cos.Cols), interleaved: flag(r.Interleaved),
	})
}

func cacheOf(kv backend.KV) cacheParams {
	return cacheParams{k: address(kv.K), v: address(kv.V), rowBytes: int64(kv.K.RowBytes()), format: int32(kv.K.Type), size: int32(kv.PageSize)}
}

func headsOf(h backend.Heads) headsParams {
	return headsParams{q: int32(h.Q), kv: int32(h.KV), dim: int32(h.Dim), window: int32(h.Window), scale: h.Scale}
}
