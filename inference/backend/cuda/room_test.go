package cuda

import (
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver/drivertest"
	"llorch/inference/tensor"
)

// What the plan says a weight takes is what is allocated for it.
func TestTakesIsAllocated(t *testing.T) {
	fake := drivertest.NewFake()
	d := openFake(t, fake, func(string) error { return nil })
	for _, c := range []struct {
		t          tensor.DType
		rows, cols int
	}{{tensor.BF16, 16, 16}, {tensor.BF16, 17, 20}, {tensor.BF16, 5, 64}, {tensor.BF16, 64, 30}, {tensor.F32, 33, 48}, {tensor.Q8_0, 3, 64}, {tensor.Q8_0, 32, 64}, {tensor.Q6_K, 17, 768}, {tensor.Q5_K, 32, 256}, {tensor.F16, 1, 7}} {
		before := fake.Used()
		if _, err := d.Place(c.t, c.rows, c.cols, make([]byte, c.rows*c.t.RowBytes(c.cols))); err != nil {
			t.Fatal(err)
		}
		if got, want := fake.Used()-before, takes(c.t, c.rows, c.cols); got != want {
			t.Errorf("%v %d×%d: %d bytes, planned %d", c.t, c.rows, c.cols, got, want)
		}
	}
	if beside(tensor.BF16, 1000) != 1000 || beside(tensor.Q4_K, 1000) != 1000 || beside(tensor.Q5_K, 1000) != 0 {
		t.Error("what is laid out anew is bf16 and some quantised formats")
	}
	if held := d.Held()[backend.Weights]; held == 0 {
		t.Error("no weights are held")
	}
}

// A card that does not say what is free has nothing: a plan must not be made on hope.
func TestRoomOfADevice(t *testing.T) {
	if r := (DeviceFacts{Name: "Card", Total: 10, Free: -1}).room(); r.Free != 0 || r.Total != 10 || r.Driver != driverBytes || r.Host != hostBytes {
		t.Errorf("%+v", r)
	}
}
