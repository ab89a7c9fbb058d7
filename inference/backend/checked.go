package backend

import (
	"llorch/inference/sample"
	"llorch/inference/tensor"
)

// Checked returns d with every argument of every call checked first: shapes,
// formats, nil addresses, overlaps, token ids, positions, pages. What it finds
// is a bug above the device, never a property of a request or of a file, so it
// panics: "backend: <op>: what". The message is built only then, and the good
// path allocates nothing.
//
// An op over no rows is not passed on, so devices need not think of it.
func Checked(d Device) Device {
	if _, ok := d.(*checked); ok {
		return d
	}
	return &checked{Device: d}
}

type checked struct {
	Device
	chosen int // rows of the last Sample that a step to begin may feed on
}

// Unwrap returns the device behind the checks, for callers that look for an
// optional ability of it.
func (c *checked) Unwrap() Device { return c.Device }

// Sync ends what a step may feed on.
func (c *checked) Sync() error {
	c.chosen = 0
	return c.Device.Sync()
}

func (c *checked) Alloc(use Use, t tensor.DType, rows, cols int) (Tensor, error) {
	const op = "Alloc"
	if use < Weights || use > Scratch {
		fail(op, "use %d", use)
	}
	checkSize(op, t, rows, cols)
	return c.Device.Alloc(use, t, rows, cols)
}

func (c *checked) Place(t tensor.DType, rows, cols int, host []byte) (Tensor, error) {
	const op = "Place"
	checkSize(op, t, rows, cols)
	checkHost(op, host, rows*t.RowBytes(cols))
	return c.Device.Place(t, rows, cols, host)
}

func (c *checked) Upload(t Tensor, host []byte) {
	const op = "Upload"
	checkMatrix(op, "t", t)
	checkHost(op, host, t.Bytes())
	if t.Rows > 0 {
		c.Device.Upload(t, host)
	}
}

func (c *checked) Download(host []byte, t Tensor) {
	const op = "Download"
	checkMatrix(op, "t", t)
	checkHost(op, host, t.Bytes())
	if t.Rows > 0 {
		c.Device.Download(host, t)
	}
}

func (c *checked) Embed(dst, table Tensor, b *Batch) {
	const op = "Embed"
	checkPhases(op, b)
	checkMatrix(op, "table", table)
	checkActivation(op, "dst", dst, b.Rows(), table.Cols)
	checkTokens(op, b, table.Rows, c.chosen)
	if dst.Rows > 0 {
		c.Device.Embed(dst, table, b)
	}
}

func (c *checked) RMSNorm(dst, x, w Tensor, eps float32) {
	const op = "RMSNorm"
	checkActivation(op, "x", x, x.Rows, x.Cols)
	checkActivation(op, "dst", dst, x.Rows, x.Cols)
	checkVector(op, "w", w, x.Cols)
	checkEps(op, eps)
	if dst.Data != x.Data {
		checkDisjoint(op, "dst", dst, "x", x)
	}
	if dst.Rows > 0 {
		c.Device.RMSNorm(dst, x, w, eps)
	}
}

func (c *checked) Linear(dst, x Tensor, w Linear, b *Batch) {
	checkLinear("Linear", dst, x, w, b)
	if dst.Rows > 0 {
		c.Device.Linear(dst, x, w, b)
	}
}

func (c *checked) LinearAdd(dst, x Tensor, w Linear, b *Batch) {
	checkLinear("LinearAdd", dst, x, w, b)
	if dst.Rows > 0 {
		c.Device.LinearAdd(dst, x, w, b)
	}
}

func (c *checked) HeadNorm(qkv, wq, wk Tensor, h Heads, eps float32) {
	const op = "HeadNorm"
	checkHeads(op, h)
	checkActivation(op, "qkv", qkv, qkv.Rows, (h.Q+2*h.KV)*h.Dim)
	checkVector(op, "wq", wq, h.Dim)
	checkVector(op, "wk", wk, h.Dim)
	checkEps(op, eps)
	if qkv.Rows > 0 {
		c.Device.HeadNorm(qkv, wq, wk, h, eps)
	}
}

func (c *checked) RopeStore(qkv Tensor, kv KV, r Rope, h Heads, b *Batch) {
	const op = "RopeStore"
	checkHeads(op, h)
	checkPhases(op, b)
	checkActivation(op, "qkv", qkv, b.Rows(), (h.Q+2*h.KV)*h.Dim)
	checkKV(op, kv, h)
	checkRope(op, r, h)
	checkSeqs(op, b, kv, h)
	checkPositions(op, b, r.Cos.Rows)
	if qkv.Rows > 0 {
		c.Device.RopeStore(qkv, kv, r, h, b)
	}
}

func (c *checked) Attend(dst, qkv Tensor, kv KV, h Heads, b *Batch) {
	const op = "Attend"
	checkHeads(op, h)
	checkScale(op, h)
	checkPhases(op, b)
	checkActivation(op, "qkv", qkv, b.Rows(), (h.Q+2*h.KV)*h.Dim)
	checkActivation(op, "dst", dst, b.Rows(), h.Q*h.Dim)
	checkDisjoint(op, "dst", dst, "qkv", qkv)
	checkKV(op, kv, h)
	checkSeqs(op, b, kv, h)
	if dst.Rows > 0 {
		c.Device.Attend(dst, qkv, kv, h, b)
	}
}

func (c *checked) SwiGLU(dst, gateUp Tensor) {
	const op = "SwiGLU"
	checkMatrix(op, "dst", dst)
	checkActivation(op, "dst", dst, gateUp.Rows, dst.Cols)
	checkActivation(op, "gateUp", gateUp, gateUp.Rows, 2*dst.Cols)
	checkDisjoint(op, "dst", dst, "gateUp", gateUp)
	if dst.Rows > 0 {
		c.Device.SwiGLU(dst, gateUp)
	}
}

func (c *checked) Rows(dst, x Tensor, b *Batch) {
	const op = "Rows"
	checkPhases(op, b)
	checkLogits(op, b)
	checkActivation(op, "x", x, b.Rows(), x.Cols)
	checkActivation(op, "dst", dst, len(b.Logits), x.Cols)
	checkDisjoint(op, "dst", dst, "x", x)
	if dst.Rows > 0 {
		c.Device.Rows(dst, x, b)
	}
}

func (c *checked) Sample(dst []int32, logits Tensor, p []sample.Params) {
	const op = "Sample"
	checkActivation(op, "logits", logits, len(dst), logits.Cols)
	if len(p) != len(dst) {
		fail(op, "%d parameters for %d rows", len(p), len(dst))
	}
	for i := range p {
		checkParams(op, i, &p[i], logits.Cols)
	}
	if pipe := Pipelining(c.Device); pipe != nil && pipe.Chooses(logits.Cols, p) {
		c.chosen = len(dst)
	}
	if len(dst) > 0 {
		c.Device.Sample(dst, logits, p)
	}
}
