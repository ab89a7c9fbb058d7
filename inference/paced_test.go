package inference

import (
	"sync"
	"testing"
	"time"

	"llorch/inference/backend"
)

// paced is the CPU device in a time of its own: every step takes pacedStep, and
// pacedRow more for each row of a prompt or of a replay, however busy the machine is. What
// depends on speed is tested with it exactly.
const (
	pacedStep = 10 * time.Millisecond
	pacedRow  = 200 * time.Microsecond
)

type paced struct {
	backend.Device
	world   *world
	prompts int
}

// world is the clock of a paced device.
type world struct {
	mu    sync.Mutex
	at    time.Time
	steps int
	// during, if set, is called within every step, by the loop.
	during func(step int)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

var pacing *world // of the device that is opened next

func init() {
	backend.Register("paced", func(o backend.Options) (backend.Device, error) {
		d, err := backend.Open("cpu", o)
		return &paced{Device: d, world: pacing}, err
	})
}

// openPaced loads the demo model on a paced device. Answers have their full length.
func openPaced(t *testing.T, o Options) (*Engine, *world) {
	t.Helper()
	w := &world{at: time.Now()}
	pacing, o.Device, o.now, o.Threads = w, "paced", w.now, 1
	return openEngine(t, demoModel, o), w
}

func (p *paced) Embed(dst, table backend.Tensor, b *backend.Batch) {
	p.prompts = b.Rows()
	for _, s := range b.Seqs {
		if s.First < b.Decode { // one row of each is its new token, more are a replay
			p.prompts--
		}
	}
	p.Device.Embed(dst, table, b)
}

func (p *paced) Sync() error {
	w := p.world
	w.mu.Lock()
	w.at = w.at.Add(pacedStep + time.Duration(p.prompts)*pacedRow)
	w.steps++
	step, during := w.steps, w.during
	w.mu.Unlock()
	if during != nil {
		during(step)
	}
	return p.Device.Sync()
}

// do sets what happens within every step from now on.
func (w *world) do(f func(step int)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.during = f
}
