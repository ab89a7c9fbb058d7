//go:build cuda

package cuda

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// set chooses how steps of several rows are multiplied, and forgets the graphs of others.
func (d *Device) set(from int) {
	d.streamFrom = from
	d.forgetAll()
}

// bits returns the logits of a step of n sequences of so many positions, four times:
// launched one by one, and then as a graph.
func (m *benchModel) bits(t *testing.T, n, context int) [4][]uint32 {
	var got [4][]uint32
	for i := range got {
		m.step(t, decodeBatch(n, context))
		raw := make([]byte, n*m.vocab*4)
		m.d.Download(raw, m.logits.Slice(0, n))
		if err := m.d.Sync(); err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(raw); at += 4 {
			got[i] = append(got[i], binary.LittleEndian.Uint32(raw[at:]))
		}
	}
	return got
}

// TestStreamAgrees: steps of up to 40 rows have the bits that project.cu gives them, by
// every kernel that streams activations.
func TestStreamAgrees(t *testing.T) {
	for _, s := range []shape{
		{"small", 2, 320, 704, 4000, backend.Heads{Q: 4, KV: 2, Dim: 64}},
		{"odd", 2, 1040, 2736, 5008, backend.Heads{Q: 6, KV: 1, Dim: 96}},
		{"7b", 2, 4096, 11008, 32000, backend.Heads{Q: 32, KV: 32, Dim: 128}},
		{"70b", 1, 8192, 28672, 16000, backend.Heads{Q: 64, KV: 8, Dim: 128}},
	} {
		t.Run(s.name, func(t *testing.T) {
			d := openHardware(t)
			m := newBenchModel(t, d, s, 40*ceilDiv(streamContext, benchPage))
			m.fillCaches()
			m.turn()
			for _, n := range []int{3, 8, 9, 13, 16, 17, 24, 25, 32, 40} {
				m.agree(t, n, 1)
			}
			for _, n := range []int{3, 13, 40} {
				m.agree(t, n, streamContext)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// streamContext is one whose positions are more than one split.
const streamContext = 140

// fillCaches writes noise where positions lie that no step has written.
func (m *benchModel) fillCaches() {
	for i := range m.layer {
		for _, c := range []backend.Tensor{m.layer[i].kv.K, m.layer[i].kv.V} {
			for at, rows := 0, len(m.noise[tensor.BF16])/c.RowBytes(); at < c.Rows; at += rows {
				part := c.Slice(at, min(at+rows, c.Rows))
				m.d.Upload(part, m.noise[tensor.BF16][:part.Bytes()])
			}
		}
	}
}

// agree compares the bits of a step with those of project.cu.
func (m *benchModel) agree(t *testing.T, n, context int) {
	t.Helper()
	m.d.set(math.MaxInt)
	want := m.bits(t, n, context)[0]
	if distinct(want) < len(want)/100 {
		t.Fatalf("%d rows of %d: %d logits with %d values: nothing is compared", n, context, len(want), distinct(want))
	}
	m.d.set(2)
	for run, got := range m.bits(t, n, context) {
		if rows := differing(got, want, m.vocab); slices.Max(rows) > 0 {
			t.Errorf("%d rows of %d, run %d: so many logits of each row differ: %d", n, context, run, rows)
		}
	}
}

// differing counts the logits of each row that differ.
func differing(a, b []uint32, vocab int) (rows []int) {
	for i := range a {
		if i%vocab == 0 {
			rows = append(rows, 0)
		}
		if a[i] != b[i] {
			rows[i/vocab]++
		}
	}
	return rows
}

func distinct(v []uint32) int {
	seen := map[uint32]bool{}
	for _, x := range v {
		seen[x] = true
	}
	return len(seen)
}

// TestBenchStreams prints what steps take with the kernels for several rows:
// LLORCH_BENCH as in bench_test.go.
func TestBenchStreams(t *testing.T) {
	want := os.Getenv("LLORCH_BENCH")
	if want == "" {
		t.Skip("not run: set LLORCH_BENCH")
	}
	for _, s := range shapes {
		if want != "1" && !strings.HasPrefix(s.name, want) {
			continue
		}
		d := openHardware(t)
		m := newBenchModel(t, d, s, 32*ceilDiv(320, benchPage)+16)
		for _, n := range []int{2, 4, 8, 16, 24, 32} {
			fmt.Printf("  %s, %2d rows, us without and with attention:", s.name, n)
			for _, how := range []int{math.MaxInt, 1} {
				d.set(how)
				without, _ := m.median(t, 12, decodeBatch(n, 1))
				with, _ := m.median(t, 12, decodeBatch(n, 300))
				fmt.Printf("  from %d: %.0f %.0f", min(how, 99), without*1e6, with*1e6)
			}
			fmt.Println()
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
