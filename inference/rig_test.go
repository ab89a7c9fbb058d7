package inference

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/backendtest"
	"llorch/inference/kvcache"
	"llorch/inference/model"
	"llorch/inference/tensor"
)

// rig runs a model's forward pass directly, one sequence at a time.
type rig struct {
	dev    backend.Device
	model  model.Model
	kv     []backend.KV
	spec   model.Spec
	pages  []int32
	rows   int         // done
	blocks [][]float32 // by layer: the residual stream after it, of the last forward
	wanted []int32     // rows whose logits it was asked for
	logits []float32   // theirs
	taps   []tapped
	slack  float64 // how much wider tolerances are than those of float32 throughout
}

// roundedSlack is for models whose prompts the device rounds to bfloat16, for its
// matrix unit: 8 bits a number, half weights too, through two or three layers that
// double their input. The largest difference seen is 9 % of the largest value.
// Greedy ids may then differ where the goldens' margins are small, so they are not
// compared.
const roundedSlack = 1000

// rounds tells whether the device rounds the rows of a prompt before it multiplies
// them with weights of a format that the model has.
func rounds(dev backend.Device, ins *Inspection) bool {
	for _, name := range ins.Source.Names() {
		if t, _ := ins.Source.Tensor(name); len(t.Shape) == 2 && backend.Rounds(dev, t.Type, true) != tensor.F32 {
			return true
		}
	}
	return false
}

type tapped struct {
	op   string
	vals []float32
}

func newRig(t testing.TB, dir string, o Options) *rig {
	t.Helper()
	ins, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ins.Close() })
	dev, err := backend.Open(o.Device, backend.Options{ISA: o.ISA, Threads: o.Threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	if err := ins.Source.Map(); err != nil {
		t.Fatal(err)
	}
	r := &rig{spec: ins.Spec, slack: 1}
	if rounds(dev, ins) {
		r.slack = roundedSlack
	}
	r.dev = backendtest.Tap(dev, r.tap)
	if r.model, err = ins.Config.Load(r.dev, ins.Source, model.Limits{Rows: 384, Logits: 16, Positions: 384}); err != nil {
		t.Fatal(err)
	}
	o.CacheType = tensor.F32
	if r.slack > 1 && backend.AttendRounds(dev, tensor.F16, true) != tensor.F32 {
		o.CacheType = tensor.F16 // as it serves: with F32 its attention would be exact
	}
	if r.kv, err = allocCache(t.Context(), r.dev, ins, o, Plan{Pages: 384 / PageSize}, newLoadMeter(nil, 1, 1)); err != nil {
		t.Fatal(err)
	}
	pool := kvcache.NewPool(384/PageSize, PageSize)
	r.pages, _ = pool.Grow(nil, 384)
	slices.Reverse(r.pages) // a page table that is not the identity
	return r
}

// tap sees the destination of every op; the second LinearAdd of a layer leaves
// the block's output.
func (r *rig) tap(op string, dst backend.Tensor) {
	if dst.Type != tensor.F32 || dst.Data == nil {
		return
	}
	r.taps = append(r.taps, tapped{op, r.read(dst)})
}

// read copies a tensor of float32, wherever the device has it.
func (r *rig) read(x backend.Tensor) []float32 {
	if backend.Observing(r.dev) == nil {
		return slices.Clone(x.Float32s())
	}
	vals := make([]float32, x.Rows*x.Cols)
	host := make([]byte, x.Bytes())
	r.dev.Download(host, x)
	if err := r.dev.Sync(); err != nil {
		clear(host) // the step's own Sync tells
	}
	x.Type.Decode(vals, host)
	return vals
}

// forward runs ids at the next positions as one step, as decode rows or as a
// prefill, and returns the last row's logits. Behind the last layer's attention there are that row and those
// before it that are wanted, too.
func (r *rig) forward(t testing.TB, ids []int32, decode bool, wanted ...int) []float32 {
	t.Helper()
	b := &backend.Batch{Tokens: ids, Seqs: []backend.Seq{{Rows: len(ids), Pages: r.pages}}}
	for i := range ids {
		if i == len(ids)-1 || slices.Contains(wanted, i) {
			b.Logits = append(b.Logits, int32(i))
		}
	}
	if decode {
		b.Decode = len(ids)
	}
	for i := range ids {
		b.Positions = append(b.Positions, int32(r.rows+i))
	}
	r.taps = r.taps[:0]
	logits := r.model.Forward(b, r.kv)
	if err := r.dev.Sync(); err != nil {
		t.Fatal(err)
	}
	r.rows += len(ids)
	r.blocks = r.blocks[:0]
	adds := 0
	for _, x := range r.taps {
		if x.op == "LinearAdd" {
			if adds++; adds%2 == 0 {
				r.blocks = append(r.blocks, x.vals)
			}
		}
	}
	r.wanted, r.logits = b.Logits, r.read(logits)
	return r.logits[len(r.logits)-r.spec.Vocab:]
}

// near fails unless got equals want within tol, relative to want's largest
// value where that is above 1.
func near(t testing.TB, what string, got, want []float32, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	scale, worst, at := 1.0, 0.0, 0
	for i := range want {
		scale = max(scale, math.Abs(float64(want[i])))
		if d := math.Abs(float64(got[i]) - float64(want[i])); d > worst || d != d {
			worst, at = d, i
			if d != d {
				t.Fatalf("%s: value %d is %v", what, i, got[i])
			}
		}
	}
	if worst > tol*scale {
		t.Errorf("%s: value %d is %v, want %v: off by %.1e, allowed %.1e", what, at, got[at], want[at], worst, tol*scale)
	}
}

func (r *rig) checkHidden(t testing.TB, name string, want []float32, positions []int) {
	t.Helper()
	h := r.spec.Hidden
	if len(r.blocks) != r.spec.Layers {
		t.Fatalf("%d blocks were seen of %d", len(r.blocks), r.spec.Layers)
	}
	for layer, x := range r.blocks {
		for _, p := range positions {
			row := p
			if layer == r.spec.Layers-1 {
				row = slices.Index(r.wanted, int32(p))
			}
			near(t, fmt.Sprintf("%s: layer %d position %d", name, layer, p), x[row*h:(row+1)*h], want[:h], 1e-4*r.slack)
			want = want[h:]
		}
	}
	if rows := len(r.blocks[len(r.blocks)-1]) / h; rows != len(r.wanted) {
		t.Errorf("%s: the last layer ends with %d rows, %d are wanted", name, rows, len(r.wanted))
	}
}

func (r *rig) checkGreedy(t testing.TB, name string, logits []float32, want []int32) {
	t.Helper()
	if r.slack > 1 {
		return
	}
	for n, id := range want {
		got := int32(0)
		for i, l := range logits {
			if l > logits[got] {
				got = int32(i)
			}
		}
		if got != id {
			t.Fatalf("%s: greedy id %d is %d, want %d", name, n, got, id)
		}
		if n < len(want)-1 {
			logits = r.forward(t, []int32{id}, true)
		}
	}
}

// keys reads the keys of layer 0 out of the pages.
func (r *rig) keys(t *testing.T, n int) (out []float32) {
	k := r.kv[0].K
	host := make([]byte, k.Bytes())
	r.dev.Download(host, k)
	if err := r.dev.Sync(); err != nil {
		t.Fatal(err)
	}
	row := make([]float32, r.spec.HeadDim)
	for p := range n {
		for h := range r.spec.KVHeads {
			i := (int(r.pages[p/PageSize])*r.spec.KVHeads+h)*PageSize + p%PageSize
			k.Type.Decode(row, host[i*k.RowBytes():])
			out = append(out, row...)
		}
	}
	return out
}
