package cuda

import (
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/driver/drivertest"
	"llorch/inference/tensor"
)

// TestShareOut: shares are found once for each kind of attention, in places of their own, for as many kinds as
// there is room for; a step without decode rows, or with more than one launch takes, has none.
func TestShareOut(t *testing.T) {
	launches := 0
	d := openFake(t, drivertest.NewFake(), func(method string) error {
		if method == "Launch" {
			launches++
		}
		return nil
	})
	var plan []op
	for layer := range 3 * mostShares {
		plan = append(plan, op{
			kind: opAttend, heads: backend.Heads{Q: 4, KV: 4, Dim: 128, Window: 64 * (layer % (mostShares + 2))},
			kv: backend.KV{K: backend.Tensor{Type: tensor.F16}, PageSize: 16},
		})
	}
	for _, c := range []struct{ kinds, decode, want int }{{1, 3, 1}, {3, 3, 3}, {3 * mostShares, 3, mostShares}, {3, 0, 0}, {3, 1 << 20, 0}} {
		d.batch.of, launches = &backend.Batch{Decode: c.decode}, 0
		d.shareOut(plan[:c.kinds])
		if len(d.shares) != c.want || launches != c.want {
			t.Errorf("%+v: %d kinds, %d launches", c, len(d.shares), launches)
		}
		seen := map[driver.Ptr]bool{}
		for i := range plan[:min(c.kinds, mostShares+2)] {
			at := d.shareAt(d.attendanceOf(&plan[i]))
			if (at != 0) != (i < c.want) || at != 0 && seen[at] {
				t.Errorf("%+v: kind %d has its shares at %#x", c, i, at)
			}
			seen[at] = true
		}
	}
	d.batch.of = nil
}

// TestLeavesPrefill: attention leaves a prompt's rows for the product behind it, of any weights, unless somebody
// else reads them or they end within what such a product takes at once.
func TestLeavesPrefill(t *testing.T) {
	for _, c := range []struct {
		name    string
		formats []tensor.DType
		change  func([]op)
		want    bool
	}{
		{"bf16", nil, func([]op) {}, true},
		{"quantised", []tensor.DType{tensor.Q8_0}, func([]op) {}, true},
		{"columns", nil, func(ops []op) { ops[0].heads.Q, ops[0].heads.Dim = 9, 16 }, false},
		{"another reader", nil, func(ops []op) { ops[len(ops)-1].x = ops[0].dst }, false},
		{"rows of another phase", nil, func(ops []op) { ops[1].decode = 2 }, false},
		{"a slow kernel", nil, func(ops []op) { ops[0].kv.PageSize = 24 }, false},
	} {
		d, ops := chainRig(c.formats...)
		ops = ops[8:]
		d.kern = &functions{attention: &attention{decode: map[attendKind]driver.Function{{tensor.F16, 64}: 1, {tensor.F16, 16}: 1}}}
		d.batch.of, d.drawing = &backend.Batch{Decode: 1}, make([]drawing, 1)
		ops[0].heads, ops[0].kv = backend.Heads{Q: 8, KV: 8, Dim: 64}, backend.KV{K: backend.Tensor{Type: tensor.F16}, PageSize: 16}
		c.change(ops)
		if got := d.leavesPrefill(ops); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
