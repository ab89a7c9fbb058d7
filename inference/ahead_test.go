package inference

import (
	"errors"
	"slices"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/sample"
)

// ahead is the CPU device as one that takes steps ahead: a step has run when it was begun,
// and its tokens are kept back until they are awaited.
type ahead struct {
	backend.Device
	asked []kept
	under []kept // steps that were begun and not awaited
	fed   []int32
	rows  []int32 // by logits row: the token that nobody had seen when it was asked for, or -1
	world *aheadWorld
}

// aheadWorld is what tests see of the device, and do to it.
type aheadWorld struct {
	begins func(step int64) error       // may fail a launch
	awaits func(step int64) error       // may fail a step
	odd    int64                        // the step whose first row is no number
	calls  struct{ begin, await int64 } // so many
}

// kept is the choice of one step.
type kept struct {
	dst, ids []int32
	err      error
}

var worldAhead *aheadWorld // of the device that is opened next

func init() {
	backend.Register("ahead", func(o backend.Options) (backend.Device, error) {
		d, err := backend.Open("cpu", o)
		return &ahead{Device: d, world: worldAhead}, err
	})
}

func openAhead(t *testing.T, o Options) (*Engine, *aheadWorld) {
	t.Helper()
	worldAhead, o.Device = &aheadWorld{}, "ahead"
	return openEngine(t, demoModel, o), worldAhead
}

func (a *ahead) Embed(dst, table backend.Tensor, b *backend.Batch) {
	own := *b
	own.Tokens = append([]int32(nil), b.Tokens...)
	for i, id := range own.Tokens {
		if id < 0 {
			own.Tokens[i] = max(a.fed[-1-id], 0)
		}
	}
	a.rows = a.rows[:0]
	for _, row := range b.Logits {
		if a.rows = append(a.rows, -1); b.Tokens[row] < 0 {
			a.rows[len(a.rows)-1] = own.Tokens[row]
		}
	}
	a.Device.Embed(dst, table, &own)
}

func (a *ahead) Sample(dst []int32, logits backend.Tensor, p []sample.Params) {
	k := kept{dst: dst, ids: make([]int32, len(dst))}
	a.asked = append(a.asked, k)
	p = slices.Clone(p)
	for i, id := range a.rows {
		if id >= 0 && p[i].Penalizes() && !slices.Contains(p[i].Seen, id) {
			p[i].Seen = append(slices.Clone(p[i].Seen), id)
		}
	}
	a.Device.Sample(k.ids, logits, p)
}

// run ends what was asked of a step.
func (a *ahead) run() (k kept, err error) {
	err = a.Device.Sync()
	if len(a.asked) > 0 {
		k = a.asked[0]
	}
	a.asked = nil
	return k, err
}

func (a *ahead) Sync() error {
	if len(a.under) > 0 {
		return errors.New("Sync while a step is under way")
	}
	k, err := a.run()
	copy(k.dst, k.ids)
	return err
}

// Chooses: all rules but one, so that some steps are not taken ahead.
func (a *ahead) Chooses(_ int, p []sample.Params) bool {
	return len(p) > 0 && !slices.ContainsFunc(p, func(p sample.Params) bool { return p.TopK == 31 })
}

func (a *ahead) Begin() error {
	if len(a.under) > 1 {
		return errors.New("three steps under way")
	}
	k, err := a.run()
	if a.world.calls.begin++; a.world.begins != nil && err == nil {
		err = a.world.begins(a.world.calls.begin)
	}
	if err != nil && !errors.Is(err, sample.ErrNotFinite) {
		return err
	}
	if k.err = err; a.world.calls.begin == a.world.odd {
		k.ids[0], k.err = -1, sample.ErrNotFinite
	}
	a.under, a.fed = append(a.under, k), k.ids
	return nil
}

func (a *ahead) Await() error {
	k := a.under[0]
	a.under = a.under[1:]
	if a.world.calls.await++; a.world.awaits != nil && k.err == nil {
		k.err = a.world.awaits(a.world.calls.await)
	}
	copy(k.dst, k.ids)
	return k.err
}
