package agent

import (
	"errors"
	"fmt"

	"llorch/callback"
)

// register tells the orchestrator that the worker is ready to be used. Without
// a callback URL the worker stands alone.
func (w *worker) register() error {
	if w.cfg.CallbackURL == "" {
		w.log.Info("callback_none", "note", "no --callback-url: serving standalone")
		return nil
	}
	client, err := callback.New(callback.Options{
		URL: w.cfg.CallbackURL, Profile: w.cfg.CallbackProfile, Token: w.cfg.APIToken.Reveal(),
		Timeout: w.cfg.CallbackTimeout, Window: w.cfg.SpawnWindow, UserAgent: "llorch/" + w.version, Log: w.log,
		Attempted: w.metrics.called,
	})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	i := w.engine.Info()
	ready := callback.Ready{
		WorkerID: w.cfg.WorkerID, URI: w.cfg.URI(), ModelRef: w.info.Name, Backend: i.Device.Kind, Device: i.Device.Index,
		Architecture: i.Device.Architecture, WorkerType: "go-" + i.Device.Kind, VRAMBytes: w.info.FileBytes,
		MemoryBytes: w.info.DeviceBytes, Capabilities: capabilities,
	}
	w.metrics.standing(registering)
	err = client.Ready(w.stopping, ready)
	w.metrics.standing(standingAfter(err, client.Profile()))
	switch {
	case errors.Is(err, callback.ErrTrialNobody):
		w.log.Warn("callback_nobody", "error", err, "note", "serving standalone")
		return nil
	case err != nil:
		return fmt.Errorf("agent: registration: %w", err)
	}
	w.log.Info("callback_ready", "callback_url", client.Shown(), "profile", client.Profile(), "vram_bytes", ready.VRAMBytes, "uri", ready.URI)
	return nil
}

// standingAfter is what a ready call has led to: no call was made with the
// profile none, and a call that failed leaves no trace at the orchestrator.
func standingAfter(err error, profile string) registration {
	if err != nil || profile == callback.ProfileNone {
		return unregistered
	}
	return registered
}
