package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"llorch/callback"
)

// lastWord is how long the last call of a registration may take after the
// drain; it runs beside closing the server and the device.
const lastWord = 700 * time.Millisecond

// membership is a worker's registration while it runs.
type membership struct {
	client    *callback.Client
	kept      chan struct{} // closed when nothing more is called; nil before the registration is kept
	dismissed chan error    // the orchestrator has ended the registration
	abandon   context.CancelFunc
}

// register tells the orchestrator that the worker is ready to be used, and
// keeps it told. Without any address to call the worker stands alone.
func (w *worker) register() error {
	if w.cfg.CallbackURL == "" && w.cfg.HiveURL == "" && w.cfg.QueenURL == "" {
		w.log.Info("callback_none", "note", "no --callback-url: serving standalone")
		return nil
	}
	client, err := callback.New(w.callbackOptions())
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	w.membership.client = client
	context.AfterFunc(w.stopping, client.Drain)
	ready := w.introduction()
	err = client.Ready(w.stopping, ready)
	switch {
	case errors.Is(err, callback.ErrTrialNobody):
		w.log.Warn("callback_nobody", "error", err, "note", "serving standalone")
	case err != nil:
		return fmt.Errorf("agent: registration: %w", err)
	case w.cfg.CallbackURL != "":
		w.log.Info("callback_ready", "callback_url", client.Shown(), "profile", client.Profile(), "vram_bytes", ready.VRAMBytes,
			"uri", ready.URI, "epoch", ready.Epoch)
	}
	w.keepRegistered()
	return nil
}

func (w *worker) callbackOptions() callback.Options {
	i, profile := w.engine.Info(), w.cfg.CallbackProfile
	if w.cfg.CallbackURL == "" {
		profile = callback.ProfileNone
	}
	return callback.Options{
		URL: w.cfg.CallbackURL, Profile: profile, HiveURL: w.cfg.HiveURL, QueenURL: w.cfg.QueenURL, DeregisterURL: w.cfg.DeregisterURL,
		Card: callback.Card{
			WorkerID: w.cfg.WorkerID, ModelRef: w.info.Name, Device: fmt.Sprintf("%s:%d", i.Device.Kind, i.Device.Index),
			Port: w.cfg.Port, Implementation: "llorch-" + i.Device.Kind, Version: w.version,
		},
		Epoch: w.epoch, Token: w.cfg.APIToken.Reveal(),
		Files:   callback.Files{CA: w.cfg.CallbackCA, Cert: w.cfg.CallbackCert, Key: w.cfg.CallbackKey, Secret: w.cfg.CallbackSecretFile},
		Timeout: w.cfg.CallbackTimeout, Window: w.cfg.SpawnWindow, Beat: w.cfg.HeartbeatInterval, Renew: w.cfg.RegisterInterval,
		UserAgent: "llorch/" + w.version, Log: w.log, Health: w.pulse, Evidence: w.evidence, Attempted: w.metrics.called, Trace: w.traceCall, Moved: w.metrics.standing,
	}
}

// introduction is what the ready call says, also when it is repeated.
func (w *worker) introduction() callback.Ready {
	i := w.engine.Info()
	return callback.Ready{
		WorkerID: w.cfg.WorkerID, Epoch: w.epoch, URI: w.cfg.URI(), ModelRef: w.info.Name, Backend: i.Device.Kind, Device: i.Device.Index,
		Architecture: i.Device.Architecture, WorkerType: "go-" + i.Device.Kind, VRAMBytes: w.info.FileBytes,
		MemoryBytes: w.info.DeviceBytes, Capabilities: capabilities,
		Evidence: w.evidence(),
	}
}

// evidence is of this moment: the last residency check, not the first.
func (w *worker) evidence() callback.Evidence {
	return callback.Evidence{
		ResidentBytes: w.machine.Residency().Held, WeightsDigest: w.info.Digest, LoadSeconds: w.loadTime.Seconds(),
		DeviceName: w.engine.Info().Device.Name, DeviceUUID: w.engine.Info().Device.UUID,
	}
}

// pulse is what a heartbeat says. Its receivers know five words; a worker that
// takes no work for a while is busy to them.
func (w *worker) pulse() callback.Beat {
	switch s := w.machine.Standing().State; {
	case s.loading():
		return callback.Beat{Status: "starting"}
	case s == Ready:
		return callback.Beat{Healthy: true, Status: "ready"}
	case s == Busy:
		return callback.Beat{Healthy: true, Status: "busy"}
	case s == Degraded:
		return callback.Beat{Status: "busy"}
	case s == Stopped:
		return callback.Beat{Status: "stopped"}
	default:
		return callback.Beat{Status: "stopping"}
	}
}

// keepRegistered begins what goes on until the worker has drained.
func (w *worker) keepRegistered() {
	m := &w.membership
	ctx, abandon := context.WithCancel(context.Background())
	m.kept, m.abandon = make(chan struct{}), abandon
	go func() {
		defer close(m.kept)
		if err := m.client.Keep(ctx); errors.Is(err, callback.ErrDeregistered) {
			m.dismissed <- err
		}
	}()
}

// deregister tells of the drain, beside the drain itself. A registration that
// was still under way has its end told, too.
func (w *worker) deregister() {
	if w.membership.client == nil {
		return
	}
	w.membership.client.Drain()
	if w.membership.kept == nil {
		w.keepRegistered()
	}
}

// tellOrchestrator says what became of the requests, beside what the stop has
// still to do. The function it returns waits for the end of that, which is
// never later than lastWord.
func (w *worker) tellOrchestrator(r callback.DrainReport) (wait func()) {
	m := w.membership
	if m.client == nil {
		return func() {}
	}
	m.client.Drained(r)
	late := time.AfterFunc(lastWord, m.abandon)
	return func() {
		<-m.kept
		late.Stop()
		m.abandon()
	}
}
