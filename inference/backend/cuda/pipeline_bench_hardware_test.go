//go:build cuda

package cuda

import (
	"fmt"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/sample"
)

// TestBenchPipeline prints what decode steps take that follow each other without the host, and what of it lies between them: more
// than their graphs take that are launched one after the other, with nothing to choose and no batch to bring. (Of 32 rows of large
// models that can be less: the card is at the limit of its power, and what runs later is slower.) LLORCH_BENCH as in bench_steps_test.go.
func TestBenchPipeline(t *testing.T) {
	for _, s := range shapesToBench(t) {
		d := openHardware(t)
		m := newBenchModel(t, d, s, 32*ceilDiv(320, benchPage)+16)
		for _, c := range []struct{ n, context int }{{1, 16}, {8, 300}, {32, 300}} {
			piped := m.piped(t, c.n, c.context)
			graph := m.relaunched(t, c.n, c.context)
			fmt.Printf("%s, %2d at %3d: %.1f us, %.1f of them between steps\n", s.name, c.n, c.context, piped*1e6, (piped-graph)*1e6)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

const benchSteps = 60

// piped is the time of one of benchSteps steps.
func (m *benchModel) piped(t *testing.T, n, context int) float64 {
	t.Helper()
	batches := [2]*backend.Batch{decodeBatch(n, context), decodeBatch(n, context)}
	ids, params := make([]int32, n), make([]sample.Params, n)
	begin := func(i int) {
		m.forward(batches[i%2])
		m.d.Sample(ids, m.logits.Slice(0, n), params)
		if err := m.d.Begin(); err != nil {
			t.Fatal(err)
		}
	}
	await := func() {
		if err := m.d.Await(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 { // it is recorded, and captured
		begin(i)
		await()
	}
	begin(0)
	began := time.Now()
	for i := range benchSteps {
		begin(i + 1)
		await()
	}
	each := time.Since(began).Seconds() / benchSteps
	await()
	return each
}

// relaunched is the time of the graph of such a step.
func (m *benchModel) relaunched(t *testing.T, n, context int) float64 {
	t.Helper()
	r := m.d.graphs[graphKey{n, reachAt(context - 1)}]
	if r == nil || r.exec == 0 {
		t.Fatalf("no graph of %d rows", n)
	}
	began := time.Now()
	for range benchSteps {
		m.d.check(m.d.drv.GraphLaunch(r.exec, m.d.stream))
	}
	if err := m.d.Sync(); err != nil {
		t.Fatal(err)
	}
	return time.Since(began).Seconds() / benchSteps
}
