package backendtest

import (
	"errors"
	"slices"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/ref"
	"llorch/inference/sample"
)

// TestTap: the tap shows every op of a forward pass with what it wrote, and
// changes nothing.
func TestTap(t *testing.T) {
	d, err := ref.Open(backend.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var ops []string
	var last []float32
	tap := Tap(d, func(op string, dst backend.Tensor) {
		ops = append(ops, op)
		last = slices.Clone(dst.Float32s())
	})
	r := newRig(t, backend.Checked(tap))
	defer r.unmap()
	m := newModel(r, variants[1])
	b, _ := m.step([]share{{0, span{0, 3, false}}})
	logits := m.forward(b)
	block := []string{"RMSNorm", "Linear", "HeadNorm", "RopeStore", "Attend", "LinearAdd", "RMSNorm", "Linear", "SwiGLU", "LinearAdd"}
	want := slices.Concat([]string{"Embed"}, block, block, []string{"Rows", "RMSNorm", "Linear"})
	if !slices.Equal(ops, want) {
		t.Errorf("saw %v, want %v", ops, want)
	}
	if !slices.Equal(last, logits) {
		t.Error("the last op did not show the logits")
	}
	plain := newModel(newRig(t, backend.Checked(d)), variants[1])
	b, _ = plain.step([]share{{0, span{0, 3, false}}})
	r.same("logits without the tap", plain.forward(b), logits)
	plain.unmap()
}

// TestTapKeepsTheFailure: the tap's own Sync must not swallow what the next Sync
// of the caller is to return.
func TestTapKeepsTheFailure(t *testing.T) {
	d, err := ref.Open(backend.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	shown := 0
	tap := Tap(d, func(string, backend.Tensor) { shown++ })
	r := newRig(t, tap)
	x := r.input(1, 2, []float32{nan, 1})
	y := r.alloc(backend.Scratch, x.Type, 1, 1)
	tap.Sample(make([]int32, 1), x, make([]sample.Params, 1))
	tap.SwiGLU(y, x)
	if shown != 0 {
		t.Error("showed an op after a failure")
	}
	if err := tap.Sync(); !errors.Is(err, sample.ErrNotFinite) {
		t.Errorf("Sync: %v", err)
	}
	tap.SwiGLU(y, x)
	if err := tap.Sync(); err != nil || shown != 1 {
		t.Errorf("after the failure: %v, %d shown", err, shown)
	}
}
