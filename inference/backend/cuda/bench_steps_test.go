//go:build cuda

package cuda

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// readRate is how fast memory is read, in bytes a second, now.
func readRate(b testing.TB, d *Device, from backend.Tensor, bytes int64) float64 {
	fn, err := d.kernels.Function("stream_read")
	if err != nil {
		b.Fatal(err)
	}
	best := 0.0
	for range 8 {
		if err := d.drv.StreamSynchronize(d.stream); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		p := struct {
			from driver.Ptr
			n    int64
			sink driver.Ptr
		}{address(from), bytes / 16, d.ids}
		launch(d, fn, grid(4*d.blocks, 1), 512, &p)
		if err := d.drv.StreamSynchronize(d.stream); err != nil {
			b.Fatal(err)
		}
		best = max(best, float64(bytes)/time.Since(began).Seconds())
	}
	return best
}

// shapesToBench are those that LLORCH_BENCH names; without it the test is skipped.
func shapesToBench(t *testing.T) (some []shape) {
	want := os.Getenv("LLORCH_BENCH")
	if want == "" {
		t.Skip("not run: set LLORCH_BENCH to 1, or to the beginning of a shape's name")
	}
	for _, s := range shapes {
		if want == "1" || strings.HasPrefix(s.name, want) {
			some = append(some, s)
		}
	}
	return some
}

// TestBenchSteps prints what whole decode steps reach of the memory's limit measured
// beside them: LLORCH_BENCH=1, or the name of a shape.
func TestBenchSteps(t *testing.T) {
	for _, s := range shapesToBench(t) {
		d := openHardware(t)
		m := newBenchModel(t, d, s, 32*ceilDiv(320, benchPage)+16)
		big := m.alloc(t, backend.Scratch, tensor.F32, 1<<20, 1024)
		read := readRate(t, d, big, int64(big.Bytes()))
		fmt.Printf("%s: %.2f GB of weights, memory read at %.0f GB/s: at most %.0f tok/s\n", s.name, float64(m.bytes)/1e9, read/1e9, read/float64(m.bytes))
		for _, c := range []struct{ n, context int }{{1, 16}, {1, 300}, {8, 300}, {32, 300}} {
			all, host := m.median(t, 50, decodeBatch(c.n, c.context))
			fmt.Printf("  %2d at %4d: %8.3f ms = %7.1f tok/s, weights at %.1f %% of the read, host %.0f µs\n",
				c.n, c.context, all*1e3, float64(c.n)/all, 100*float64(m.bytes)/all/read, host*1e6)
		}
		for _, n := range []int{256, 2048} {
			all, _ := m.median(t, 6, prefillBatch(n))
			fmt.Printf("  prefill %d: %.2f ms = %.0f tok/s, products at %.0f TFLOP/s\n", n, all*1e3, float64(n)/all,
				2*float64(n)*float64(m.products)/all/1e12)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestBenchParts prints what the kernels of a step take by themselves: chains of one of
// them through all layers, so that no weights are in L2. LLORCH_BENCH as above.
func TestBenchParts(t *testing.T) {
	for _, s := range shapesToBench(t) {
		d := openHardware(t)
		m := newBenchModel(t, d, s, 32*ceilDiv(320, benchPage)+16)
		for _, part := range []string{"qkv", "attend", "o", "gateUp", "down", "all but attend", "head"} {
			for _, at := range [][2]int{{1, 16}, {8, 300}, {32, 300}} {
				n, b := at[0], decodeBatch(at[0], at[1])
				var times []float64
				for range 44 {
					began := time.Now()
					bytes := m.chain(part, b)
					if err := d.Sync(); err != nil {
						t.Fatal(err)
					}
					times = append(times, time.Since(began).Seconds())
					if len(times) == 44 {
						slices.Sort(times)
						each := times[10] / float64(s.layers)
						fmt.Printf("  %s %s x%d: %.2f us a layer, %.0f GB/s\n", s.name, part, n, each*1e6, float64(bytes)/float64(s.layers)/each/1e9)
					}
				}
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func bytesOfLinear(l backend.Linear) (n int64) {
	for _, p := range l {
		n += int64(p.W.Bytes())
	}
	return n
}

// chain asks for one kind of kernel of every layer and returns the weights' bytes.
func (m *benchModel) chain(part string, b *backend.Batch) (bytes int64) {
	d, n := m.d, b.Rows()
	v := func(t backend.Tensor) backend.Tensor { return t.Slice(0, n) }
	x, h, qkv, att, gateUp, act := v(m.x), v(m.h), v(m.qkv), v(m.att), v(m.gateUp), v(m.act)
	d.Embed(x, m.embed, b)
	for i := range m.layer {
		l, all := &m.layer[i], part == "all but attend"
		if part == "qkv" || all {
			d.RMSNorm(h, x, m.norm, 1e-5)
			d.Linear(qkv, h, l.qkv, b)
			d.RopeStore(qkv, l.kv, m.rope, m.heads, b)
			bytes += bytesOfLinear(l.qkv)
		}
		if part == "attend" {
			d.Attend(att, qkv, l.kv, m.heads, b)
		}
		if part == "o" || all {
			d.LinearAdd(x, att, l.o, b)
			bytes += bytesOfLinear(l.o)
		}
		if part == "gateUp" || all {
			d.RMSNorm(h, x, m.norm, 1e-5)
			d.Linear(gateUp, h, l.gateUp, b)
			d.SwiGLU(act, gateUp)
			bytes += bytesOfLinear(l.gateUp)
		}
		if part == "down" || all {
			d.LinearAdd(x, act, l.down, b)
			bytes += bytesOfLinear(l.down)
		}
	}
	if part == "head" {
		for range m.layer {
			d.Linear(m.logits.Slice(0, n), v(m.last), m.head, nil)
			bytes += bytesOfLinear(m.head)
		}
	}
	return bytes
}
