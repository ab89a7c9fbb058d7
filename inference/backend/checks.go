package backend

import (
	"fmt"
	"math"
	"slices"

	"llorch/inference/sample"
	"llorch/inference/tensor"
)

// fail is reached on a bug only. Its arguments are boxed by the caller inside
// the failing branch, so a good call pays nothing for them.
func fail(op, format string, args ...any) {
	panic("backend: " + op + ": " + fmt.Sprintf(format, args...))
}

func checkType(op string, t tensor.DType) {
	if !t.Known() {
		fail(op, "format %v", t)
	}
}

// checkSize checks the size of memory that is asked for.
func checkSize(op string, t tensor.DType, rows, cols int) {
	checkType(op, t)
	if rows <= 0 || cols <= 0 || cols%t.Block() != 0 {
		fail(op, "%d×%d of %v", rows, cols, t)
	}
	if row := t.RowBytes(cols); row <= 0 || rows > math.MaxInt/row {
		fail(op, "%d×%d of %v overflows", rows, cols, t)
	}
}

func checkHost(op string, host []byte, want int) {
	if len(host) != want {
		fail(op, "%d host bytes, want %d", len(host), want)
	}
}

// checkMatrix checks that t is a tensor at all; it may have no rows.
func checkMatrix(op, name string, t Tensor) {
	checkType(op, t.Type)
	if t.Rows < 0 || t.Cols <= 0 || t.Cols%t.Type.Block() != 0 {
		fail(op, "%s is %v", name, t)
	}
	if t.Data == nil && t.Rows > 0 {
		fail(op, "%s %v has no address", name, t)
	}
}

func checkActivation(op, name string, t Tensor, rows, cols int) {
	checkMatrix(op, name, t)
	if t.Type != tensor.F32 {
		fail(op, "%s is %v, want F32", name, t)
	}
	if t.Rows != rows || t.Cols != cols {
		fail(op, "%s is %v, want [%d×%d]", name, t, rows, cols)
	}
	if uintptr(t.Data)%4 != 0 {
		fail(op, "%s is not aligned: %p", name, t.Data)
	}
}

// checkVector checks a weight of one row, whose elements can be addressed.
func checkVector(op, name string, t Tensor, cols int) {
	checkMatrix(op, name, t)
	if t.Rows != 1 || t.Cols != cols || t.Type.Block() != 1 {
		fail(op, "%s is %v, want [1×%d] of an unblocked format", name, t, cols)
	}
}

func checkDisjoint(op, an string, a Tensor, bn string, b Tensor) {
	a0, b0 := uintptr(a.Data), uintptr(b.Data)
	if a0 < b0+uintptr(b.Bytes()) && b0 < a0+uintptr(a.Bytes()) {
		fail(op, "%s overlaps %s", an, bn)
	}
}

func checkEps(op string, eps float32) {
	if !(eps >= 0) || math.IsInf(float64(eps), 1) {
		fail(op, "eps %v", eps)
	}
}

func checkLinear(op string, dst, x Tensor, w Linear, b *Batch) {
	checkActivation(op, "x", x, x.Rows, x.Cols)
	if len(w) == 0 {
		fail(op, "no weights")
	}
	for i := range w {
		checkPart(op, i, &w[i], x.Cols)
	}
	checkActivation(op, "dst", dst, x.Rows, w.Out())
	checkDisjoint(op, "dst", dst, "x", x)
	if b == nil {
		return
	}
	checkPhases(op, b)
	if b.Rows() != x.Rows {
		fail(op, "x is %v, the batch has %d rows", x, b.Rows())
	}
}

func checkPart(op string, i int, p *Part, in int) {
	checkMatrix(op, "W", p.W)
	if p.W.Cols != in || p.W.Rows == 0 {
		fail(op, "part %d is %v for %d inputs", i, p.W, in)
	}
	if p.B.Data != nil {
		checkVector(op, "B", p.B, p.W.Rows)
	} else if p.B != (Tensor{}) {
		fail(op, "part %d: bias %v has no address", i, p.B)
	}
}

func checkHeads(op string, h Heads) {
	if h.Q <= 0 || h.KV <= 0 || h.Q%h.KV != 0 || h.Dim <= 0 || h.Window < 0 {
		fail(op, "heads %+v", h)
	}
}

func checkScale(op string, h Heads) {
	if !(h.Scale > 0) || math.IsInf(float64(h.Scale), 1) {
		fail(op, "scale %v", h.Scale)
	}
}

func checkKV(op string, kv KV, h Heads) {
	checkMatrix(op, "K", kv.K)
	checkMatrix(op, "V", kv.V)
	if kv.K.Type != kv.V.Type || kv.K.Rows != kv.V.Rows || !slices.Contains(CacheFormats, kv.K.Type) {
		fail(op, "K is %v, V is %v", kv.K, kv.V)
	}
	if kv.K.Cols != h.Dim || kv.V.Cols != h.Dim {
		fail(op, "K is %v, V is %v, head dim %d", kv.K, kv.V, h.Dim)
	}
	if kv.PageSize <= 0 || kv.K.Rows%(h.KV*kv.PageSize) != 0 {
		fail(op, "%d cache rows are no whole pages of %d heads × %d positions", kv.K.Rows, h.KV, kv.PageSize)
	}
	checkDisjoint(op, "K", kv.K, "V", kv.V)
}

func checkRope(op string, r Rope, h Heads) {
	if h.Dim%2 != 0 {
		fail(op, "odd head dim %d", h.Dim)
	}
	if r.Cos.Cols > h.Dim/2 {
		fail(op, "Cos is %v, a head of %d has %d pairs", r.Cos, h.Dim, h.Dim/2)
	}
	checkActivation(op, "Cos", r.Cos, r.Cos.Rows, r.Cos.Cols)
	checkActivation(op, "Sin", r.Sin, r.Cos.Rows, r.Cos.Cols)
}

func checkParams(op string, row int, p *sample.Params, vocab int) {
	for _, x := range [...]float32{p.Temperature, p.RepetitionPenalty, p.TopP, p.MinP} {
		if !(x >= 0) || math.IsInf(float64(x), 1) {
			fail(op, "row %d: parameters %+v", row, *p)
		}
	}
	if p.TopK < 0 || p.TopP > 1 || p.MinP > 1 {
		fail(op, "row %d: parameters %+v", row, *p)
	}
	for _, id := range p.Seen {
		if id < 0 || int(id) >= vocab {
			fail(op, "row %d: seen token %d of %d", row, id, vocab)
		}
	}
}
