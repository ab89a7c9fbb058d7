package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"llorch/agent/listen"
	"llorch/agent/notify"
	"llorch/agent/trace"
	"llorch/callback"
	"llorch/config"
	"llorch/inference"
	"llorch/residency"
)

// Options are what a worker is given from outside. Config has been validated.
type Options struct {
	Config  config.Config
	Version string
	Log     *slog.Logger
	Bar     io.Writer        // takes a progress bar while loading; nil = none
	Signals <-chan os.Signal // the first drains, the second cuts; nil = none
	Notify  *notify.Socket   // hears of start, watchdog and stop; nil = none
	Sockets []listen.Socket  // that came with the process; none = as Config says
	Trace   *trace.Tracer    // hears of each request; closed by Run; nil = no traces
}

// worker is one process: its settings and what start-up has made so far.
type worker struct {
	cfg     config.Config
	version string
	log     *slog.Logger
	bar     io.Writer
	machine *Machine
	metrics *Metrics
	server  *Server
	serving chan error // the results of Serve
	source  changer
	engine  *inference.Engine
	info    ModelInfo
	claims  []residency.Claim
	device  deviceMemory // nil: the device computes from this process's memory, which claims are of
	notify  *notify.Socket
	sockets []listen.Socket
	tracer  *trace.Tracer

	listeners []net.Listener // all that were opened or inherited

	epoch      string // of this process's life
	loadTime   time.Duration
	membership membership

	stopping context.Context // ends with the first wish to stop
	stopOnce sync.Once
	stop     context.CancelCauseFunc
	cutting  context.Context // ends with the second
	cut      context.CancelFunc
}

// Run is a worker's life. It returns nil for a stop that was asked for, and an
// error, already logged, where the process must end with another status: ExitStatus tells which.
func Run(ctx context.Context, o Options) error {
	w := newWorker(ctx, o)
	defer w.cut()
	defer w.stop(nil)
	defer w.closeListeners()
	go w.heed(o.Signals)
	err := w.run()
	if err != nil {
		w.log.Error("error", "error", err, "state", w.stateName())
	}
	return errors.Join(err, w.shutdown(err))
}

func newWorker(ctx context.Context, o Options) *worker {
	w := &worker{cfg: o.Config, version: o.Version, bar: o.Bar, notify: o.Notify, sockets: o.Sockets, tracer: o.Trace}
	w.log = o.Log.With("worker_id", w.cfg.WorkerID)
	w.epoch = callback.NewEpoch(time.Now())
	w.membership.dismissed = make(chan error, 1)
	w.stopping, w.stop = context.WithCancelCause(ctx)
	w.cutting, w.cut = context.WithCancel(context.WithoutCancel(ctx))
	w.machine = NewMachine(w.log)
	w.metrics = NewMetrics(w.cfg.WorkerID, w.machine, time.Now())
	if w.cfg.MetricsCompat == "vllm" {
		w.metrics.MirrorVLLM()
	}
	w.server = NewServer(ServerOptions{
		Machine: w.machine, Metrics: w.metrics, Log: w.log, WorkerID: w.cfg.WorkerID, Epoch: w.epoch, Model: modelName(w.cfg),
		Token: w.cfg.APIToken.Reveal(), AdminToken: w.cfg.AdminToken.Reveal(), Origins: w.cfg.Origins(), MaxTokens: w.cfg.MaxTokensOut, MaxBody: int64(w.cfg.MaxBodyBytes),
		Timeout: w.cfg.InferenceTimeout(), WriteTimeout: w.cfg.WriteTimeout, ShutdownTimeout: w.cfg.DrainTimeout, OverloadStatus: w.cfg.OverloadStatus,
		AlsoHost: w.cfg.AdvertiseHost, Trace: w.tracer, Stop: w.askStop,
	})
	return w
}

// errStop is the cause of an ordinary stop.
type errStop string

func (e errStop) Error() string { return string(e) }

// askStop begins the drain; it reports whether this call began it. Health says
// so at once, not when the drain gets its turn.
func (w *worker) askStop(cause string) (first bool) {
	w.stopOnce.Do(func() {
		first = true
		if err := w.machine.To(Draining, cause); err != nil {
			w.log.Warn("stop", "error", err)
		}
		w.stop(errStop(cause))
	})
	return first
}

// heed turns signals into a drain, and the second into a cut.
func (w *worker) heed(signals <-chan os.Signal) {
	for {
		select {
		case s := <-signals:
			if !w.askStop("signal: " + s.String()) {
				w.log.Warn("second signal: running requests are cut")
				w.cut()
			}
		case <-w.cutting.Done():
			return
		}
	}
}

// run is the order of start, top to bottom, and the life after it.
func (w *worker) run() error {
	w.logStart()
	if err := w.bind(); err != nil {
		return err
	}
	loaded := w.tellLoading()
	defer loaded()
	for _, step := range []struct {
		state State
		do    func() error
	}{{Loading, w.load}, {Verifying, w.verify}, {Registering, w.register}} {
		if err := w.enter(step.state); err != nil {
			return w.unlessStopping(err)
		}
		if err := step.do(); err != nil {
			return w.unlessStopping(err)
		}
	}
	if err := w.enter(Ready); err != nil {
		return w.unlessStopping(err)
	}
	w.log.Info("ready", "model", w.info.Name, "uri", w.cfg.URI())
	loaded()
	w.tellReady()
	return w.serve()
}

func (w *worker) enter(s State) error { return w.machine.To(s, "") }

// unlessStopping drops an error that a stop has caused: a load or callback
// that was interrupted has not failed.
func (w *worker) unlessStopping(err error) error {
	if w.stopping.Err() != nil {
		w.log.Info("start interrupted", "reason", err)
		return nil
	}
	return err
}

func (w *worker) logStart() {
	backend, device := w.cfg.Backend, w.cfg.Device
	if d, err := deviceOf(w.cfg); err == nil { // else loading will say why
		backend, device = d.Kind, d
	}
	w.log.Info("startup", "version", w.version, "model", w.cfg.Model, "port", w.cfg.Port, "backend", backend,
		"device", device.String(), "pid", os.Getpid(), "epoch", w.epoch, "auth", w.cfg.APIToken != "")
	for _, note := range w.cfg.Notes {
		w.log.Warn("configuration", "note", note)
	}
	w.log.Debug("configuration", "config", w.cfg)
}

// serve waits for the end: a wish to stop, a device fault, the orchestrator's word, or a listener that broke.
func (w *worker) serve() error {
	var watches sync.WaitGroup
	ctx, end := context.WithCancel(w.stopping)
	lost := make(chan error, 1)
	watches.Go(func() { w.watchResidency(ctx, lost) })
	watches.Go(func() { w.watchSteps(ctx, w.engine.Stats, w.engine.Info().LongStep) })
	defer func() { end(); watches.Wait() }()
	select {
	case <-w.stopping.Done():
		return nil
	case <-w.engine.Faulted():
		w.metrics.faulted(w.engine.Fault())
		return lostDevice(w.engine.Fault())
	case err := <-w.membership.dismissed:
		err = fmt.Errorf("%w: %w", ErrDeregistered, err)
		if e := w.machine.toBecause(Draining, CauseDeregistered, err.Error()); e != nil {
			w.log.Warn("deregistered", "error", e)
		}
		return err
	case err := <-lost:
		if e := w.machine.toBecause(Draining, CauseResidency, err.Error()); e != nil {
			w.log.Warn("residency", "error", e)
		}
		return err
	case err := <-w.serving:
		return fmt.Errorf("agent: the HTTP listener ended: %w", err)
	}
}

// deviceLost moves the state, from the engine's own goroutine and before any
// stream has its error: a probe that follows must not read healthy.
func (w *worker) deviceLost(fault error) {
	w.machine.SetFault(inference.FaultClass(fault))
	if err := w.machine.To(Faulted, lostDevice(fault).Error()); err != nil { // a drain has begun: it will end the process anyway
		w.log.Warn("fault", "error", err)
	}
}

func lostDevice(fault error) error { return fmt.Errorf("%w: %w", ErrFault, fault) }

func (w *worker) stateName() string { s, _ := w.machine.State(); return s.String() }
