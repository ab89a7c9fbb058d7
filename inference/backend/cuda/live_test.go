package cuda

import (
	"testing"
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// activations are 8 rows in memory of their own, of which tensors are made.
type activations []float32

func (a activations) of(cols int) backend.Tensor {
	return backend.Tensor{Type: tensor.F32, Rows: 8, Cols: cols, Data: unsafe.Pointer(unsafe.SliceData(a))}
}

// TestReadOfALayer: what a layer's fused kernels leave out is read by nobody, also where its
// activations share memory as those of package llama do.
func TestReadOfALayer(t *testing.T) {
	const hidden, stacked, ffn = 64, 96, 160
	rooms := [5]activations{}
	for i := range rooms {
		rooms[i] = make(activations, 8*2*ffn)
	}
	apart := map[string]backend.Tensor{
		"x": rooms[0].of(hidden), "h": rooms[1].of(hidden), "att": make(activations, 8*hidden).of(hidden),
		"qkv": rooms[2].of(stacked), "gateUp": rooms[3].of(2 * ffn), "ffn": rooms[4].of(ffn),
	}
	shared := map[string]backend.Tensor{
		"x": rooms[0].of(hidden), "h": rooms[1].of(hidden), "att": rooms[1].of(hidden),
		"qkv": rooms[3].of(stacked), "gateUp": rooms[3].of(2 * ffn), "ffn": rooms[4].of(ffn),
	}
	for name, s := range map[string]map[string]backend.Tensor{"apart": apart, "shared": shared} {
		layer := []op{
			{kind: opNorm, dst: s["h"], x: s["x"]}, {kind: opLinear, dst: s["qkv"], x: s["h"]},
			{kind: opRopeStore, dst: s["qkv"]}, {kind: opAttend, dst: s["att"], x: s["qkv"]},
			{kind: opLinear, dst: s["x"], x: s["att"], add: true},
			{kind: opNorm, dst: s["h"], x: s["x"]}, {kind: opLinear, dst: s["gateUp"], x: s["h"]},
			{kind: opSwiGLU, dst: s["ffn"], x: s["gateUp"]}, {kind: opLinear, dst: s["x"], x: s["ffn"], add: true},
		}
		ops := append(layer, layer...)
		for _, c := range []struct {
			tensor string
			after  int // ops
			want   bool
		}{
			{"h", 1, true}, {"h", 2, false}, {"h", 3, false}, {"qkv", 2, true}, {"qkv", 3, true}, {"qkv", 4, false}, {"att", 4, true},
			{"att", 5, false}, {"h", 6, true}, {"h", 7, false}, {"gateUp", 7, true}, {"gateUp", 8, false}, {"ffn", 8, true},
			{"ffn", 9, false}, {"x", 3, true}, {"x", 9, true}, {"gateUp", 17, true}, {"ffn", 18, true},
		} {
			if got := read(ops[c.after:], s[c.tensor], false); got != c.want {
				t.Errorf("%s: %s after %d ops is read: %v, want %v", name, c.tensor, c.after, got, c.want)
			}
		}
	}
}

// TestReadAfterTheStep: what nobody has overwritten may be read, unless the step is over.
func TestReadAfterTheStep(t *testing.T) {
	x, y := make(activations, 64).of(8), make(activations, 64).of(8)
	ops := []op{{kind: opLinear, dst: y, x: x}}
	for _, c := range []struct {
		ops        []op
		t          backend.Tensor
		over, want bool
	}{{ops, x, true, true}, {ops[1:], x, true, false}, {ops[1:], x, false, true}, {ops, y, false, false}, {ops[1:], y, true, false}} {
		if got := read(c.ops, c.t, c.over); got != c.want {
			t.Errorf("%d ops, over %v: %v, want %v", len(c.ops), c.over, got, c.want)
		}
	}
}

// TestExtents: what is left of an extent when one of its ends is covered.
func TestExtents(t *testing.T) {
	for _, c := range []struct{ s, without, want extent }{
		{extent{10, 20}, extent{}, extent{10, 20}}, {extent{10, 20}, extent{5, 10}, extent{10, 20}}, {extent{10, 20}, extent{20, 30}, extent{10, 20}},
		{extent{10, 20}, extent{10, 14}, extent{14, 20}}, {extent{10, 20}, extent{5, 14}, extent{14, 20}}, {extent{10, 20}, extent{14, 20}, extent{10, 14}},
		{extent{10, 20}, extent{14, 25}, extent{10, 14}}, {extent{10, 20}, extent{12, 14}, extent{10, 20}}, {extent{10, 20}, extent{10, 20}, extent{}},
		{extent{10, 20}, extent{5, 25}, extent{}}, {extent{}, extent{5, 25}, extent{}},
	} {
		if got := c.s.less(c.without); got != c.want {
			t.Errorf("%v without %v: %v, want %v", c.s, c.without, got, c.want)
		}
	}
	if (extent{10, 20}).meets(extent{20, 30}) || !(extent{10, 20}).meets(extent{19, 30}) || (extent{10, 20}).meets(extent{}) {
		t.Error("extents meet where they have an address in common")
	}
}
