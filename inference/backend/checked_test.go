package backend_test

import (
	"math"
	"strings"
	"testing"
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/backend/ref"
	"llorch/inference/sample"
	"llorch/inference/tensor"
)

// calls holds one good set of arguments for every op: 2 sequences, 3 rows.
type calls struct {
	d                                                 backend.Device
	b                                                 backend.Batch
	table, x, y, w, w2, qkv, att, gateUp, ffn, logits backend.Tensor
	rows                                              backend.Tensor
	lin                                               backend.Linear
	kv                                                backend.KV
	rope                                              backend.Rope
	h                                                 backend.Heads
	ids                                               []int32
	p                                                 []sample.Params
	host                                              []byte
	eps                                               float32
}

func newCalls(tb testing.TB) *calls {
	r, err := ref.Open(backend.Options{Threads: 1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	d := backend.Checked(r)
	mem := func(t tensor.DType, rows, cols int) backend.Tensor {
		m, err := d.Alloc(backend.Scratch, t, rows, cols)
		if err != nil {
			tb.Fatal(err)
		}
		return m
	}
	return &calls{
		d: d,
		b: backend.Batch{
			Tokens: []int32{1, 9, 0}, Positions: []int32{5, 0, 1}, Decode: 1, Logits: []int32{0, 2},
			Seqs: []backend.Seq{{First: 0, Rows: 1, Pages: []int32{2, 0}}, {First: 1, Rows: 2, Pages: []int32{1}}},
		},
		table: mem(tensor.BF16, 10, 8), x: mem(tensor.F32, 3, 8), y: mem(tensor.F32, 3, 8), w: mem(tensor.F16, 1, 8),
		w2: mem(tensor.F32, 1, 4), qkv: mem(tensor.F32, 3, 16), att: mem(tensor.F32, 3, 8),
		gateUp: mem(tensor.F32, 3, 12), ffn: mem(tensor.F32, 3, 6), logits: mem(tensor.F32, 2, 10), rows: mem(tensor.F32, 2, 8),
		lin: backend.Linear{
			{W: mem(tensor.BF16, 9, 8), B: mem(tensor.F32, 1, 9)}, {W: mem(tensor.F16, 7, 8)},
		},
		kv:   backend.KV{K: mem(tensor.F16, 3*4, 4), V: mem(tensor.F16, 3*4, 4), PageSize: 4},
		rope: backend.Rope{Cos: mem(tensor.F32, 6, 2), Sin: mem(tensor.F32, 6, 2)},
		h:    backend.Heads{Q: 2, KV: 1, Dim: 4, Scale: 0.5},
		ids:  make([]int32, 2), p: make([]sample.Params, 2), host: make([]byte, 3*8*4), eps: 1e-5,
	}
}

// The ops by name; each is good as newCalls made it.
var ops = map[string]func(c *calls){
	"Upload":    func(c *calls) { c.d.Upload(c.x, c.host) },
	"Download":  func(c *calls) { c.d.Download(c.host, c.x) },
	"Embed":     func(c *calls) { c.d.Embed(c.x, c.table, &c.b) },
	"RMSNorm":   func(c *calls) { c.d.RMSNorm(c.y, c.x, c.w, c.eps) },
	"Linear":    func(c *calls) { c.d.Linear(c.qkv, c.x, c.lin, &c.b) },
	"LinearAdd": func(c *calls) { c.d.LinearAdd(c.qkv, c.x, c.lin, &c.b) },
	"HeadNorm":  func(c *calls) { c.d.HeadNorm(c.qkv, c.w2, c.w2, c.h, c.eps) },
	"RopeStore": func(c *calls) { c.d.RopeStore(c.qkv, c.kv, c.rope, c.h, &c.b) },
	"Attend":    func(c *calls) { c.d.Attend(c.att, c.qkv, c.kv, c.h, &c.b) },
	"SwiGLU":    func(c *calls) { c.d.SwiGLU(c.ffn, c.gateUp) },
	"Rows":      func(c *calls) { c.d.Rows(c.rows, c.x, &c.b) },
	"Sample":    func(c *calls) { c.d.Sample(c.ids, c.logits, c.p) },
}

func TestCheckedPassesGoodCalls(t *testing.T) {
	for name, op := range ops {
		t.Run(name, func(t *testing.T) {
			c := newCalls(t)
			op(c)
			if err := c.d.Sync(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCheckedAllocatesNothing(t *testing.T) {
	c := newCalls(t)
	c.d = backend.Checked(idle{})
	for name, op := range ops {
		if n := testing.AllocsPerRun(20, func() { op(c) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// idle does nothing, so that only the checks are measured.
type idle struct{ backend.Device }

func (idle) Upload(backend.Tensor, []byte)                                                     {}
func (idle) Download([]byte, backend.Tensor)                                                   {}
func (idle) Embed(_, _ backend.Tensor, _ *backend.Batch)                                       {}
func (idle) RMSNorm(_, _, _ backend.Tensor, _ float32)                                         {}
func (idle) Linear(_, _ backend.Tensor, _ backend.Linear, _ *backend.Batch)                    {}
func (idle) LinearAdd(_, _ backend.Tensor, _ backend.Linear, _ *backend.Batch)                 {}
func (idle) HeadNorm(_, _, _ backend.Tensor, _ backend.Heads, _ float32)                       {}
func (idle) RopeStore(backend.Tensor, backend.KV, backend.Rope, backend.Heads, *backend.Batch) {}
func (idle) Attend(_, _ backend.Tensor, _ backend.KV, _ backend.Heads, _ *backend.Batch)       {}
func (idle) SwiGLU(_, _ backend.Tensor)                                                        {}
func (idle) Rows(_, _ backend.Tensor, _ *backend.Batch)                                        {}
func (idle) Sample([]int32, backend.Tensor, []sample.Params)                                   {}

var nan = float32(math.NaN())

// refusals are good calls with one thing spoilt, and what the panic must say.
var refusals = []struct {
	op, message string
	spoil       func(c *calls)
}{
	{"Upload", "95 host bytes, want 96", func(c *calls) { c.host = c.host[:95] }},
	{"Upload", "no address", func(c *calls) { c.x.Data = nil }},
	{"Download", "95 host bytes, want 96", func(c *calls) { c.host = c.host[:95] }},
	{"Download", "format DType(0)", func(c *calls) { c.x.Type = 0 }},

	{"Embed", "row 1: token 10 of 10", func(c *calls) { c.b.Tokens[1] = 10 }},
	{"Embed", "row 2: token -1 of 10", func(c *calls) { c.b.Tokens[2] = -1 }},
	{"Embed", "4 decode rows of 3", func(c *calls) { c.b.Decode = 4 }},
	{"Embed", "-1 decode rows of 3", func(c *calls) { c.b.Decode = -1 }},
	{"Embed", "dst is F32[2×8], want [3×8]", func(c *calls) { c.x.Rows = 2 }},
	{"Embed", "dst is F16", func(c *calls) { c.x.Type = tensor.F16 }},
	{"Embed", "table BF16[10×8] has no address", func(c *calls) { c.table.Data = nil }},
	{"Embed", "table is BF16[10×0]", func(c *calls) { c.table.Cols = 0 }},

	{"RMSNorm", "dst is F32[3×8], want [2×8]", func(c *calls) { c.x.Rows = 2 }},
	{"RMSNorm", "w is F16[1×7], want [1×8]", func(c *calls) { c.w.Cols = 7 }},
	{"RMSNorm", "w is F16[2×8]", func(c *calls) { c.w.Rows = 2 }},
	{"RMSNorm", "eps -1", func(c *calls) { c.eps = -1 }},
	{"RMSNorm", "eps NaN", func(c *calls) { c.eps = nan }},
	{"RMSNorm", "dst overlaps x", func(c *calls) { c.y = c.x; c.y.Data = unsafe.Add(c.x.Data, 4) }},
	{"RMSNorm", "x is not aligned", func(c *calls) { c.x.Data = unsafe.Add(c.x.Data, 2) }},

	{"Linear", "no weights", func(c *calls) { c.lin = nil }},
	{"Linear", "part 1 is F16[7×6] for 8 inputs", func(c *calls) { c.lin[1].W.Cols = 6 }},
	{"Linear", "part 0 is BF16[0×8]", func(c *calls) { c.lin[0].W.Rows = 0 }},
	{"Linear", "W F16[7×8] has no address", func(c *calls) { c.lin[1].W.Data = nil }},
	{"Linear", "B is F32[1×8], want [1×9]", func(c *calls) { c.lin[0].B.Cols = 8 }},
	{"Linear", "part 0: bias F32[1×9] has no address", func(c *calls) { c.lin[0].B.Data = nil }},
	{"Linear", "dst is F32[3×15], want [3×16]", func(c *calls) { c.qkv.Cols = 15 }},
	{"Linear", "the batch has 2 rows", func(c *calls) { c.b.Tokens = c.b.Tokens[:2] }},
	{"Linear", "dst overlaps x", func(c *calls) { c.x.Data = c.qkv.Data }},
	{"LinearAdd", "no weights", func(c *calls) { c.lin = nil }},

	{"HeadNorm", "heads", func(c *calls) { c.h.Q, c.h.KV = 3, 2 }},
	{"HeadNorm", "qkv is F32[3×16], want [3×24]", func(c *calls) { c.h.KV = 2 }},
	{"HeadNorm", "wq is", func(c *calls) { c.w2.Cols = 3 }},
	{"HeadNorm", "eps +Inf", func(c *calls) { c.eps = float32(math.Inf(1)) }},

	{"RopeStore", "odd head dim 3", func(c *calls) {
		c.h.Dim, c.qkv.Cols, c.kv.K.Cols, c.kv.V.Cols = 3, 12, 3, 3
	}},
	{"RopeStore", "no batch", func(c *calls) { c.d.RopeStore(c.qkv, c.kv, c.rope, c.h, nil) }},
	{"RopeStore", "K is F16[12×4], V is BF16[12×4]", func(c *calls) { c.kv.V.Type = tensor.BF16 }},
	{"RopeStore", "head dim 4", func(c *calls) { c.kv.K.Cols, c.kv.V.Cols = 2, 2 }},
	{"RopeStore", "no whole pages", func(c *calls) { c.kv.PageSize = 5 }},
	{"RopeStore", "no whole pages", func(c *calls) { c.kv.PageSize = 0 }},
	{"RopeStore", "K overlaps V", func(c *calls) { c.kv.V = c.kv.K }},
	{"RopeStore", "K F16[12×4] has no address", func(c *calls) { c.kv.K.Data = nil }},
	{"RopeStore", "Sin is F32[5×2], want [6×2]", func(c *calls) { c.rope.Sin.Rows = 5 }},
	{"RopeStore", "Cos is F32[6×2], a head of 2 has 1 pairs", func(c *calls) {
		c.h.Dim, c.qkv.Cols, c.kv.K.Cols, c.kv.V.Cols = 2, 8, 2, 2
	}},
	{"RopeStore", "position 5, the rope table ends at 5", func(c *calls) { c.rope.Cos.Rows, c.rope.Sin.Rows = 5, 5 }},
	{"RopeStore", "2 positions for 3 rows", func(c *calls) { c.b.Positions = c.b.Positions[:2] }},

	{"Attend", "scale 0", func(c *calls) { c.h.Scale = 0 }},
	{"Attend", "heads", func(c *calls) { c.h.Window = -1 }},
	{"Attend", "dst overlaps qkv", func(c *calls) { c.att.Data = c.qkv.Data }},
	{"Attend", "dst is F32[3×8], want [3×4]", func(c *calls) { c.h.Q = 1; c.qkv.Cols = 12 }},
	{"Attend", "sequence 1: positions 0 … 2 are not ascending", func(c *calls) { c.b.Positions[2] = 2 }},
	{"Attend", "sequence 1: positions 0 … 0 are not ascending", func(c *calls) { c.b.Positions[2] = 0 }},
	{"Attend", "sequence 0: positions -1", func(c *calls) { c.b.Positions[0] = -1 }},
	{"Attend", "sequence 0: position 5 needs 2 pages of 4, has 1", func(c *calls) { c.b.Seqs[0].Pages = []int32{2} }},
	{"Attend", "sequence 0: page 1 is 3 of 3", func(c *calls) { c.b.Seqs[0].Pages[1] = 3 }},
	{"Attend", "sequence 0: page 0 is -1 of 3", func(c *calls) { c.b.Seqs[0].Pages[0] = -1 }},
	{"Attend", "sequence 1 has rows [2,4)", func(c *calls) { c.b.Seqs[1].First = 2 }},
	{"Attend", "sequence 1 has rows [1,4)", func(c *calls) { c.b.Seqs[1].Rows = 3 }},
	{"Attend", "sequence 1 has rows [1,1)", func(c *calls) { c.b.Seqs[1].Rows = 0 }},
	{"Attend", "the sequences end at row 1 of 3", func(c *calls) { c.b.Seqs = c.b.Seqs[:1] }},
	{"Attend", "in both phases (decode ends at 2)", func(c *calls) { c.b.Decode = 2 }},

	{"SwiGLU", "gateUp is F32[3×12], want [3×10]", func(c *calls) { c.ffn.Cols = 5 }},
	{"SwiGLU", "dst is F32[3×6], want [2×6]", func(c *calls) { c.gateUp.Rows = 2 }},
	{"SwiGLU", "dst overlaps gateUp", func(c *calls) { c.ffn.Data = c.gateUp.Data }},

	{"Rows", "logits 1: row 3 of 3", func(c *calls) { c.b.Logits[1] = 3 }},
	{"Rows", "logits 1: row 0 of 3 after 0", func(c *calls) { c.b.Logits[1] = 0 }},
	{"Rows", "logits 0: row -1", func(c *calls) { c.b.Logits[0] = -1 }},
	{"Rows", "dst is F32[2×8], want [1×8]", func(c *calls) { c.b.Logits = c.b.Logits[:1] }},
	{"Rows", "dst overlaps x", func(c *calls) { c.rows.Data = c.x.Data }},

	{"Sample", "1 parameters for 2 rows", func(c *calls) { c.p = c.p[:1] }},
	{"Sample", "logits is F32[2×10], want [1×10]", func(c *calls) { c.ids = c.ids[:1] }},
	{"Sample", "row 1: seen token 10 of 10", func(c *calls) { c.p[1].Seen = []int32{3, 10} }},
	{"Sample", "row 0: parameters", func(c *calls) { c.p[0].Temperature = nan }},
	{"Sample", "row 0: parameters", func(c *calls) { c.p[0].TopK = -1 }},
	{"Sample", "row 0: parameters", func(c *calls) { c.p[0].TopP = 1.5 }},
	{"Sample", "row 0: parameters", func(c *calls) { c.p[0].MinP = -0.5 }},
}

func TestCheckedRefuses(t *testing.T) {
	for _, c := range refusals {
		t.Run(c.op+" "+c.message, func(t *testing.T) {
			a := newCalls(t)
			mustPanic(t, "backend: "+c.op+": ", c.message, func() { c.spoil(a); ops[c.op](a) })
		})
	}
}

func TestCheckedMemory(t *testing.T) {
	d := newCalls(t).d
	for message, call := range map[string]func(){
		"backend: Alloc: use 0":                  func() { _, _ = d.Alloc(0, tensor.F32, 1, 1) },
		"backend: Alloc: use 4":                  func() { _, _ = d.Alloc(4, tensor.F32, 1, 1) },
		"backend: Alloc: format DType(0)":        func() { _, _ = d.Alloc(backend.Cache, 0, 1, 1) },
		"backend: Alloc: 0×1 of F32":             func() { _, _ = d.Alloc(backend.Cache, tensor.F32, 0, 1) },
		"backend: Alloc: 1×-1 of F32":            func() { _, _ = d.Alloc(backend.Cache, tensor.F32, 1, -1) },
		"of F32 overflows":                       func() { _, _ = d.Alloc(backend.Cache, tensor.F32, math.MaxInt/4, 3) },
		"backend: Place: 11 host bytes, want 12": func() { _, _ = d.Place(tensor.F16, 2, 3, make([]byte, 11)) },
		"backend: Place: format DType(200)":      func() { _, _ = d.Place(200, 2, 3, make([]byte, 12)) },
		"backend: Place: 0×3 of F16":             func() { _, _ = d.Place(tensor.F16, 0, 3, nil) },
	} {
		mustPanic(t, "backend: ", message, call)
	}
}

// TestCheckedNoRows: a step that wants no logits calls Rows, RMSNorm and the
// head over no rows.
func TestCheckedNoRows(t *testing.T) {
	c := newCalls(t)
	c.d = backend.Checked(strict{})
	c.b.Logits = nil
	empty := c.rows.Slice(0, 0)
	c.d.Rows(empty, c.x, &c.b)
	c.d.RMSNorm(empty, empty, c.w, c.eps)
	c.d.Linear(c.qkv.Slice(0, 0), empty, c.lin, nil)
	c.d.Sample(nil, c.logits.Slice(0, 0), nil)
}

// strict has no op at all: a call that reaches it is a nil dereference.
type strict struct{ backend.Device }

func TestCheckedUnwrapsAndWrapsOnce(t *testing.T) {
	d := newCalls(t).d
	if backend.Checked(d) != d {
		t.Error("wrapped twice")
	}
	if _, ok := d.(interface{ Unwrap() backend.Device }).Unwrap().(*ref.Device); !ok {
		t.Error("Unwrap does not give the device")
	}
}

func mustPanic(t *testing.T, prefix, message string, call func()) {
	t.Helper()
	defer func() {
		s, ok := recover().(string)
		if !ok || !strings.HasPrefix(s, prefix) || !strings.Contains(s, message) {
			t.Errorf("panic %q, want %q…%q", s, prefix, message)
		}
	}()
	call()
}
