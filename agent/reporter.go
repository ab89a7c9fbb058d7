package agent

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"llorch/inference"
)

// reportEvery is how often a load that goes on says so, moving or not: a
// spawner must be able to tell a slow disk from a dead worker.
const reportEvery = 400 * time.Millisecond

// loadReporter records progress for probes, logs it, and draws a bar.
type loadReporter struct {
	machine *Machine
	log     *slog.Logger
	bar     io.Writer
	clock   loadClock // the loading goroutine's
	quit    chan struct{}
	ended   sync.WaitGroup

	mu      sync.Mutex
	quarter int // the next quarter to be told: 0 to 4
}

func newLoadReporter(m *Machine, log *slog.Logger, bar io.Writer, plan inference.Plan) *loadReporter {
	r := &loadReporter{machine: m, log: log, bar: bar, clock: newLoadClock(plan), quit: make(chan struct{})}
	r.quarters(0)
	r.ended.Go(r.repeat)
	return r
}

// report takes the loader's word. It is called from the loading goroutine.
func (r *loadReporter) report(p inference.Progress) {
	rate, left := r.clock.look(time.Now(), p)
	r.machine.SetProgress(Progress{
		Phase: p.Phase, BytesDone: p.Done, BytesTotal: p.Total, Layers: p.Layers, LayersTotal: p.LayersTotal,
		Percent: min(int(100*p.Share), 99), Rate: int64(rate), ETA: left.Milliseconds(),
	})
	r.quarters(r.machine.Progress().Percent)
}

// quarters logs each of 0, 25, 50, 75 and 100 % once, in order.
func (r *loadReporter) quarters(percent int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; r.quarter <= 4 && percent >= 25*r.quarter; r.quarter++ {
		r.log.Info("model_load_progress", "percent", 25*r.quarter, "phase", r.machine.Progress().Phase)
	}
}

// repeat logs and draws until the end.
func (r *loadReporter) repeat() {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.quit:
			return
		case <-tick.C:
			p := r.machine.Progress()
			r.log.Info("loading", "percent", p.Percent, "phase", p.Phase, "bytes_done", p.BytesDone, "bytes_total", p.BytesTotal,
				"layers", p.Layers, "layers_total", p.LayersTotal, "bytes_per_second", p.Rate, "eta_ms", p.ETA)
			r.draw(p)
		}
	}
}

func (r *loadReporter) draw(p Progress) {
	if r.bar == nil {
		return
	}
	const width = 40
	full := p.Percent * width / 100
	// A bar that cannot be drawn is not worth failing for.
	_, _ = fmt.Fprintf(r.bar, "\r\x1b[K[%s%s] %3d %% %s %d of %d MB%s", strings.Repeat("#", full), strings.Repeat(".", width-full),
		p.Percent, p.Phase, p.BytesDone>>20, p.BytesTotal>>20, p.left())
}

// end stops reporting; ok says that the model is loaded.
func (r *loadReporter) end(ok bool) {
	close(r.quit)
	r.ended.Wait()
	if r.bar != nil {
		_, _ = fmt.Fprint(r.bar, "\r\x1b[K")
	}
	if ok {
		p := r.machine.Progress()
		p.Phase, p.Percent, p.Rate, p.ETA = "loaded", 100, 0, 0
		r.machine.SetProgress(p)
		r.quarters(100)
	}
}
