package inference

import (
	"fmt"
	"time"

	"llorch/inference/backend"
	"llorch/inference/sample"
)

// warmUp runs one prefill and one decode step in page 0, which nobody holds
// yet: code, tables and caches are warm before the first request, and a device
// that cannot compute, or weights that lead to no numbers, are found before the
// worker says that it is ready. Both steps are timed, the prefill for steps of
// chunk rows.
//
// A device with memory of its own may lay weights out at their first use, so both
// its steps go through all layers. Else every layer is like the first one, whose
// prefill then stands for all: it would read the weights once more, and the decode
// step has the answer already.
func (e *Engine) warmUp(chunk int, m *loadMeter) error {
	n := min(8, e.info.Context-1)
	q := &sequence{ids: make([]int32, n+1), prompt: n, pages: []int32{0}}
	depth := 1
	if backend.Observing(e.dev) != nil {
		depth, q.ids = len(e.kv), q.ids[:n] // with the choice of a token
	}
	took, err := e.tryStep(work{seq: q, to: n}, e.kv[:depth])
	if err != nil {
		return err
	}
	e.info.LongStep = took * time.Duration(len(e.kv)/depth*max(chunk/n, 1))
	m.warm = 0.5
	m.step("warmup")

	q.ids = append(q.ids[:n], 0)
	if took, err = e.tryStep(work{seq: q, from: n, to: n + 1, decode: true}, e.kv); err != nil {
		return err
	}
	e.admission.pace.stepped(took, 0, 1)
	m.warm = 1
	m.step("warmup")
	return nil
}

// tryStep runs a step of the warm-up through as many layers as kv has, and times it.
func (e *Engine) tryStep(w work, kv []backend.KV) (time.Duration, error) {
	began := time.Now()
	t := &turn{work: []work{w}}
	e.ask(t, kv)
	if err := numbers(e.dev.Sync()); err != nil {
		return 0, fmt.Errorf("warm-up: %w", err)
	}
	if len(t.input.ids) > 0 && t.input.ids[0] < 0 {
		return 0, fmt.Errorf("warm-up: %w: the weights are damaged", sample.ErrNotFinite)
	}
	return time.Since(began), nil
}
