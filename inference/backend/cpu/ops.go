package cpu

// #include "llo.h"
import "C"

import (
	"unsafe"

	"llorch/inference/backend"
)

func dtype(t backend.Tensor) C.int32_t { return C.int32_t(t.Type) }

// Embed widens the rows of the tokens.
func (d *Device) Embed(dst, table backend.Tensor, b *backend.Batch) {
	d.record(C.llo_op{code: C.LLO_EMBED, dst: float32s(dst.Data), w: bytes(table.Data), wtype: dtype(table),
		n: C.int64_t(dst.Rows), cols: C.int64_t(dst.Cols), b: d.batch(b)})
}

// RMSNorm sums squares in float32, two chains of vector lanes.
func (d *Device) RMSNorm(dst, x, w backend.Tensor, eps float32) {
	d.record(C.llo_op{code: C.LLO_RMSNORM, dst: float32s(dst.Data), x: float32s(x.Data), w: bytes(w.Data), wtype: dtype(w),
		n: C.int64_t(x.Rows), cols: C.int64_t(x.Cols), eps: C.float(eps)})
}

// HeadNorm normalises q and k heads within qkv.
func (d *Device) HeadNorm(qkv, wq, wk backend.Tensor, h backend.Heads, eps float32) {
	op := headed(C.LLO_HEADNORM, qkv, h)
	op.w, op.wtype, op.w2, op.wtype2 = bytes(wq.Data), dtype(wq), bytes(wk.Data), dtype(wk)
	op.eps = C.float(eps)
	d.record(op)
}

// headed is an op over rows of q, k and v heads, in place.
func headed(code C.int32_t, qkv backend.Tensor, h backend.Heads) C.llo_op {
	return C.llo_op{code: code, dst: float32s(qkv.Data), n: C.int64_t(qkv.Rows), cols: C.int64_t(qkv.Cols),
		q: C.int64_t(h.Q), kv: C.int64_t(h.KV), dim: C.int64_t(h.Dim), window: C.int64_t(h.Window), scale: C.float(h.Scale)}
}

func cached(op *C.llo_op, kv backend.KV) {
	op.k, op.v, op.kvtype, op.page = bytes(kv.K.Data), bytes(kv.V.Data), dtype(kv.K), C.int64_t(kv.PageSize)
}

// RopeStore rotates in float32 and rounds to the cache's format once.
func (d *Device) RopeStore(qkv backend.Tensor, kv backend.KV, r backend.Rope, h backend.Heads, b *backend.Batch) {
	op := headed(C.LLO_ROPE, qkv, h)
	cached(&op, kv)
	op.cosines, op.sines, op.b = float32s(r.Cos.Data), float32s(r.Sin.Data), d.batch(b)
	op.pairs = C.int64_t(r.Cos.Cols)
	if r.Interleaved {
		op.interleaved = 1
	}
	d.record(op)
}

// Decode attention is split by chunks below so many items a thread: with more,
// threads finish together without it.
const splitItems = 8

// partialFloats is the room for so many chunks of a split op.
func partialFloats(chunks, dim int) int { return chunks * C.LLO_HEADS * (2 + dim) }

// mostChunks bounds the chunks of an op that is split: those of all positions of
// a cache of so many rows, and one begun for each item.
func (d *Device) mostChunks(rows int) int { return rows/C.LLO_CHUNK + splitItems*d.threads }

// Attend takes keys in tiles and, for decode rows, in chunks of LLO_CHUNK
// positions that are softened apart and merged in order.
func (d *Device) Attend(dst, qkv backend.Tensor, kv backend.KV, h backend.Heads, b *backend.Batch) {
	op := headed(C.LLO_ATTEND, qkv, h)
	cached(&op, kv)
	op.x, op.dst, op.b, op.decode = op.dst, float32s(dst.Data), d.batch(b), C.int64_t(b.Decode)
	longest := 0
	for _, p := range b.Positions[:b.Decode] {
		longest = max(longest, int(p))
	}
	blocks := (h.Q/h.KV + C.LLO_HEADS - 1) / C.LLO_HEADS
	rows, chunks := b.Decode*h.KV*blocks, longest/C.LLO_CHUNK+1
	op.chunks = C.int64_t(chunks)
	// With few rows chunks are items of their own. They fit unless sequences of
	// very different lengths meet, or sequences with most of their pages in common.
	if chunks > 1 && rows > 0 && rows < splitItems*d.threads && partialFloats(rows*chunks, h.Dim) <= d.needs.partial {
		op.split = 1
	}
	d.needs.scratch = max(d.needs.scratch, int(C.llo_attend_floats(d.kern, C.int64_t(h.Q/h.KV), C.int64_t(h.Dim))))
	d.record(op)
}

// SwiGLU uses the exp of attention, at most 2 ulp.
func (d *Device) SwiGLU(dst, gateUp backend.Tensor) {
	d.record(C.llo_op{code: C.LLO_SWIGLU, dst: float32s(dst.Data), x: float32s(gateUp.Data),
		n: C.int64_t(dst.Rows), cols: C.int64_t(dst.Cols)})
}

// Rows copies rows.
func (d *Device) Rows(dst, x backend.Tensor, b *backend.Batch) {
	d.record(C.llo_op{code: C.LLO_ROWS, dst: float32s(dst.Data), x: float32s(x.Data),
		n: C.int64_t(dst.Rows), cols: C.int64_t(dst.Cols), b: d.batch(b)})
}

// Linear writes the projection.
func (d *Device) Linear(dst, x backend.Tensor, w backend.Linear, b *backend.Batch) {
	d.linear(dst, x, w, b, 0)
}

// LinearAdd adds it to dst.
func (d *Device) LinearAdd(dst, x backend.Tensor, w backend.Linear, b *backend.Batch) {
	d.linear(dst, x, w, b, 1)
}

func (d *Device) linear(dst, x backend.Tensor, w backend.Linear, b *backend.Batch, add C.int32_t) {
	decode := x.Rows
	if b != nil {
		decode = b.Decode
	}
	op := C.llo_op{code: C.LLO_LINEAR, add: add, dst: float32s(dst.Data), x: float32s(x.Data),
		n: C.int64_t(x.Rows), cols: C.int64_t(x.Cols), decode: C.int64_t(decode), out: C.int64_t(dst.Cols)}
	parts, col := make([]C.llo_part, len(w)), 0
	wanted := [C.LLO_PACKINGS]bool{}
	for i, p := range w {
		parts[i] = C.llo_part{w: bytes(p.W.Data), b: bytes(p.B.Data), out: C.int64_t(p.W.Rows),
			rowbytes: C.int64_t(p.W.RowBytes()), col: C.int64_t(col), wtype: dtype(p.W), btype: dtype(p.B)}
		col += p.W.Rows
		if decode > 0 {
			p := C.llo_packing(d.kern, C.int(p.W.Type), 0)
			wanted[p] = true
			wanted[C.LLO_GATHERED] = wanted[C.LLO_GATHERED] || p == C.LLO_BLOCKS && d.gathers(decode)
		}
		if decode < x.Rows {
			wanted[C.llo_packing(d.kern, C.int(p.W.Type), 1)] = true
		}
	}
	op.parts, op.nparts = keep(d, parts), C.int64_t(len(parts))
	d.pack(&op, wanted)
	op.dec_rows, op.panels = d.cut(w)
	if d.fuses(&op, wanted) {
		op.fuses = 1
	}
	d.record(op)
}

// fuses reports whether the op recorded last, a norm or a SwiGLU, makes the x of
// op, so that whoever packs a part of it may compute it on the way, while it is in
// the cache. Each part must have one reader, and a norm must not overwrite what it
// reads.
func (d *Device) fuses(op *C.llo_op, wanted [C.LLO_PACKINGS]bool) bool {
	if d.plan.n == 0 || len(d.drawing) > 0 {
		return false
	}
	last := &unsafe.Slice((*C.llo_op)(d.ops.addr), d.plan.n)[d.plan.n-1]
	readers := [2]int{}
	for i, want := range wanted {
		if want && i != C.LLO_GATHERED {
			readers[min(i/C.LLO_TILES, 1)]++
		}
	}
	return (last.code == C.LLO_RMSNORM || last.code == C.LLO_SWIGLU) && unsafe.Pointer(last.dst) == unsafe.Pointer(op.x) &&
		last.n == op.n && last.cols == op.cols && last.x != op.x && max(readers[0], readers[1]) == 1
}

// gathers reports whether the kernels want so many decode rows of blocked weights
// side by side, too.
func (d *Device) gathers(rows int) bool { return d.kern.gathers > 0 && rows >= int(d.kern.gathers) }

// pack reserves the layouts of the activations that a projection wants.
func (d *Device) pack(op *C.llo_op, wanted [C.LLO_PACKINGS]bool) {
	at := C.int64_t(1)
	for i, want := range wanted {
		if !want {
			continue
		}
		rows := op.decode
		if i >= C.LLO_TILES {
			rows = op.n - op.decode
		}
		op.at[i] = at
		at += (C.llo_packed(d.kern, C.int(i), rows, op.cols) + 63) &^ 63
	}
	d.needs.packed = max(d.needs.packed, int(at))
	d.needs.scratch = max(d.needs.scratch, int(d.kern.gemm_bytes+3)/4)
}

// cut sizes the work items of a projection: some sixteen a thread, so that a
// thread that is held up costs little, but not below what makes a stream of
// memory or a panel worth its start. Results do not depend on it.
func (d *Device) cut(w backend.Linear) (rows, panels C.int64_t) {
	const least, most = 32 << 10, 512 << 10 // bytes of an item
	out, size := w.Out(), w[0].W.RowBytes()
	bytes := min(max(out*size/(16*d.threads), least), most)
	rows = C.int64_t(max(bytes/size, 1)+3) &^ 3
	if rows >= 16 { // body_turned.h takes an odd number of sixteens best
		rows = (rows/16 | 1) * 16
	}
	panels = C.int64_t(min(max(out/int(d.kern.mr)/(8*d.threads), 1), C.LLO_PANELS))
	return rows, panels
}
