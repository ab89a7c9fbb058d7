package inference

import (
	"fmt"
	"time"

	"llorch/inference/backend"
	"llorch/inference/sample"
)

// warmLayers is how many layers stand for all of them where they are much alike.
const warmLayers = 2

// warmUp runs a prefill and decode steps in page 0, which nobody holds yet: code,
// tables and caches are warm before the first request, and a device that cannot compute,
// or weights that lead to no numbers, are found before the worker says that it is ready.
// Steps are timed, the prefill for steps of chunk rows.
//
// A device with memory of its own may lay weights out at their first use, so both its
// steps go through all layers. Else every layer is like the first one, whose prefill then
// stands for all. So do a few layers for decoding where every weight is known to be a
// number, as checked says: a step through all of them reads all memory of the model, for
// an answer that is known.
func (e *Engine) warmUp(chunk int, checked bool, m *loadMeter) error {
	n := min(8, e.info.Context-1)
	q := &sequence{ids: make([]int32, n+1), prompt: n, pages: []int32{0}}
	depth, all := 1, len(e.kv)
	if backend.Observing(e.dev) != nil {
		depth, checked, q.ids = all, false, q.ids[:n] // with the choice of a token
	}
	took, err := e.tryStep(work{seq: q, to: n}, depth)
	if err != nil {
		return err
	}
	e.info.LongStep = took * time.Duration(all/depth*max(chunk/n, 1))
	m.warm = 0.5
	m.step("warmup")

	q.ids = append(q.ids[:n], 0)
	if took, err = e.tryDecode(work{seq: q, from: n, to: n + 1, decode: true}, checked); err != nil {
		return err
	}
	e.admission.pace.stepped(took, 0, 1)
	m.warm = 1
	m.step("warmup")
	return nil
}

// tryDecode times a decode step: through all layers, or, where a few are enough, from
// what these take beyond a step without any.
func (e *Engine) tryDecode(w work, fewer bool) (time.Duration, error) {
	all := len(e.kv)
	if !fewer || all <= warmLayers {
		return e.tryStep(w, all)
	}
	rest, err := e.tryStep(w, 0)
	if err != nil {
		return 0, err
	}
	took, err := e.tryStep(w, warmLayers)
	return rest + max(took-rest, 0)*time.Duration(all)/warmLayers, err
}

// tryStep runs a step of the warm-up through the first layers, and times it.
func (e *Engine) tryStep(w work, layers int) (time.Duration, error) {
	began := time.Now()
	t := &turn{work: []work{w}}
	e.ask(t, e.kv[:layers])
	if err := numbers(e.dev.Sync()); err != nil {
		return 0, fmt.Errorf("warm-up: %w", err)
	}
	if len(t.input.ids) > 0 && t.input.ids[0] < 0 {
		return 0, fmt.Errorf("warm-up: %w: the weights are damaged", sample.ErrNotFinite)
	}
	return time.Since(began), nil
}
