package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"llorch/deploy/demo/standin"
)

// stops: SIGTERM in every state that a worker can be in, but those of the start
// (drain.go) and a hang (health.go).
var stops = []Drill{
	{"stop-in-every-state", "stops", []int{14}, 120 * time.Second, stopInEveryState},
}

// state brings a worker into one, and says what must come of a SIGTERM there.
type state struct {
	name  string
	reach func(context.Context, *Bench) (*standin.Worker, error)
}

func stopInEveryState(ctx context.Context, b *Bench) (string, error) {
	states := []state{{"registering", registering}, {"ready", readyState}, {"busy", busy}, {"draining", draining}, {"degraded", degraded}, {"stopped by SIGSTOP", suspended}}
	var slowest time.Duration
	for _, s := range states {
		w, err := s.reach(ctx, b)
		if err != nil {
			return "", fmt.Errorf("%s: %w", s.name, err)
		}
		began := time.Now()
		if err := errors.Join(w.Signal(syscall.SIGTERM), w.Signal(syscall.SIGCONT)); err != nil {
			return "", fmt.Errorf("%s: %w", s.name, err)
		}
		if err := exits(ctx, w, 0); err != nil {
			return "", fmt.Errorf("%s: %w", s.name, err)
		}
		if _, err := logged(ctx, w, "shutdown"); err != nil {
			return "", fmt.Errorf("%s: %w", s.name, err)
		}
		slowest = max(slowest, time.Since(began))
	}
	return fmt.Sprintf("%d states, each exit status 0 with its report, the slowest in %.1f s", len(states), slowest.Seconds()), nil
}

func registering(ctx context.Context, b *Bench) (*standin.Worker, error) {
	o, err := b.Orchestrator(func(int, standin.Call) int { return 503 })
	if err != nil {
		return nil, err
	}
	w, err := b.Spawn(standin.Spawn{Args: []string{"--local-mode"}, CallbackURL: o.URL("/ready")})
	if err != nil {
		return nil, err
	}
	return w, until(ctx, "it calls its orchestrator", func() error {
		return expect(ctx, w, "GET", "/ready", nil, 503, `"cause":"registering"`)
	})
}

func readyState(ctx context.Context, b *Bench) (*standin.Worker, error) { return b.Ready(ctx) }

func busy(ctx context.Context, b *Bench) (*standin.Worker, error) {
	w, err := b.Ready(ctx)
	if err == nil {
		_, _, err = begin(ctx, w, endless("busy"))
	}
	return w, err
}

// draining is a worker that was told once; the next signal cuts.
func draining(ctx context.Context, b *Bench) (*standin.Worker, error) {
	w, err := b.Ready(ctx, "--inference-timeout-sec", "0")
	if err != nil {
		return nil, err
	}
	for i := range 4 { // enough to last until the second signal
		if _, _, err := begin(ctx, w, endless(fmt.Sprint("draining-", i))); err != nil {
			return nil, err
		}
	}
	if err := w.Signal(syscall.SIGTERM); err != nil {
		return nil, err
	}
	return w, until(ctx, "it drains", func() error { return expect(ctx, w, "GET", "/live", nil, 200, `"cause":"draining"`) })
}

func degraded(ctx context.Context, b *Bench) (*standin.Worker, error) {
	model, err := b.CopyModel()
	if err != nil {
		return nil, err
	}
	w, err := b.ReadyAs(ctx, standin.Spawn{Model: model, Args: []string{"--residency-interval", "100ms"}})
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(model, "*.safetensors"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no weights in %s: %w", model, err)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(files[0], later, later); err != nil {
		return nil, err
	}
	return w, until(ctx, "it is degraded", func() error { return expect(ctx, w, "GET", "/ready", nil, 503, `"state":"degraded"`) })
}

func suspended(ctx context.Context, b *Bench) (*standin.Worker, error) {
	w, err := busy(ctx, b)
	if err == nil {
		err = w.Signal(syscall.SIGSTOP)
	}
	return w, err
}
