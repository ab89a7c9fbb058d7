package bench

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"llorch/inference"
	"llorch/inference/synthetic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRun measures a model of a few layers and checks that the figures hang
// together; how large they are is the machine's business.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("measures the memory bandwidth, which takes half a gigabyte and seconds")
	}
	s := synthetic.Shape{Name: "small", Hidden: 128, FFN: 256, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 32, Vocab: 300, Positions: 1024}
	dir := t.TempDir() + "/small"
	if err := synthetic.Ensure(dir, s, "bf16"); err != nil {
		t.Fatal(err)
	}
	r, err := Run(context.Background(), Options{Model: dir, Load: inference.Options{Threads: 2}, Repeats: 1, Tokens: 16})
	if err != nil {
		t.Fatal(err)
	}
	layers, head := s.MatrixParams()
	norms := int64((2*s.Layers + 1) * s.Hidden)
	ins, err := inference.Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ins.Close()
	c := costOf(ins)
	if want := 2 * (layers + head + norms); c.weightBytes != want {
		t.Errorf("a step reads %d bytes of weights, want %d", c.weightBytes, want)
	}
	if c.headFlops != 2*head || c.layerFlops != 2*(layers+norms) {
		t.Errorf("operations: layers %d, head %d; want %d and %d", c.layerFlops, c.headFlops, 2*(layers+norms), 2*head)
	}
	if len(r.Decode) != 3 || len(r.Prefill) != 2 || r.Limits[0].ReadGBs <= 0 || r.Limits[1].GFlops <= 0 || r.PeakRSS < r.WeightBytes {
		t.Errorf("report: %+v", r)
	}
	for _, d := range r.Decode {
		if want := float64(c.weightBytes) * d.TokensSec / float64(d.Batch) / 1e9; d.GBs < want {
			t.Errorf("batch %d: %v GB/s, the weights alone are %v", d.Batch, d.GBs, want)
		}
	}
	if r.HTTP <= 0 || r.HTTP > 20*time.Millisecond {
		t.Errorf("HTTP: %v a token", r.HTTP)
	}
	var out bytes.Buffer
	r.Print(&out)
	for _, word := range []string{"decode, 8 at once", "prefill 512", "% of the read limit", "peak RSS"} {
		if !strings.Contains(out.String(), word) {
			t.Errorf("the table lacks %q:\n%s", word, out.String())
		}
	}
}

func TestCommonStep(t *testing.T) {
	at := func(ms ...int) (s stream) {
		for _, m := range ms {
			s.at = append(s.at, time.UnixMilli(int64(m)))
		}
		return s
	}
	// The second starts at 30 and the first ends at 60: three steps of 10 ms.
	d, n := commonStep([]stream{at(10, 20, 30, 40, 50, 60), at(30, 40, 50, 60, 70, 80)})
	if d != 10*time.Millisecond || n != 3 {
		t.Errorf("%v over %d tokens, want 10ms over 3", d, n)
	}
}
