package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"llorch/deploy/demo/standin"
)

// Bench is what one drill works with. All that it starts ends with the drill.
type Bench struct {
	Bin    string // the worker as it is shipped
	Faulty string // the worker built with -tags llorch_faults
	Model  string // the demo's
	Dir    string // a folder for this drill, empty at first

	mu      sync.Mutex // protects the fields below
	closed  bool
	workers []*standin.Worker
	closers []func() error
}

// newBench makes a bench with a folder of its own. Paths become absolute.
func newBench(bin, faulty, model string) (*Bench, error) {
	b := &Bench{Bin: bin, Faulty: faulty, Model: model}
	for _, p := range []*string{&b.Bin, &b.Faulty, &b.Model} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return nil, fmt.Errorf("drills: %w", err)
		}
		*p = abs
	}
	dir, err := os.MkdirTemp("", "llorch-drill")
	if err != nil {
		return nil, fmt.Errorf("drills: %w", err)
	}
	b.Dir = dir
	return b, nil
}

// Spawn starts a worker without waiting for it. Bin, Model and ID have defaults.
func (b *Bench) Spawn(s standin.Spawn) (*standin.Worker, error) {
	if s.Bin == "" {
		s.Bin = b.Bin
	}
	if s.Model == "" {
		s.Model = b.Model
	}
	if s.ID == "" {
		s.ID = "w-drill"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errors.New("drills: the time of this drill is over")
	}
	w, err := standin.Start(s)
	if err != nil {
		return nil, err
	}
	b.workers = append(b.workers, w)
	return w, nil
}

// Ready starts a worker on loopback, with an orchestrator that accepts it, and
// waits until it is healthy.
func (b *Bench) Ready(ctx context.Context, args ...string) (*standin.Worker, error) {
	return b.ReadyAs(ctx, standin.Spawn{Args: args})
}

// ReadyFaulty is Ready with a device that fails as the plan says: see package
// inference/backend/faulty.
func (b *Bench) ReadyFaulty(ctx context.Context, plan string, args ...string) (*standin.Worker, error) {
	return b.ReadyFaultyAs(ctx, plan, standin.Spawn{Args: args})
}

// ReadyFaultyAs is ReadyFaulty for more than flags.
func (b *Bench) ReadyFaultyAs(ctx context.Context, plan string, s standin.Spawn) (*standin.Worker, error) {
	if _, err := os.Stat(b.Faulty); err != nil {
		return nil, Skip("no worker with faults: go build -tags llorch_faults -o %s ./agent/cmd/llorch", b.Faulty)
	}
	s.Bin = b.Faulty
	s.Env = append(s.Env, "FAULTY_DEVICE="+plan)
	return b.ReadyAs(ctx, s)
}

// ReadyAs starts what the spawn says and waits until it is healthy.
func (b *Bench) ReadyAs(ctx context.Context, s standin.Spawn) (*standin.Worker, error) {
	if s.CallbackURL == "" {
		o, err := b.Orchestrator(nil)
		if err != nil {
			return nil, err
		}
		s.CallbackURL = o.URL("/ready")
	}
	s.Args = append([]string{"--local-mode"}, s.Args...)
	w, err := b.Spawn(s)
	if err != nil {
		return nil, err
	}
	return w, w.WaitHealthy(ctx)
}

// Orchestrator starts a stand-in that answers as the function says, nil with 200.
func (b *Bench) Orchestrator(answer func(int, standin.Call) int) (*standin.Orchestrator, error) {
	o, err := standin.Listen(0, answer)
	if err == nil {
		b.OnClose(o.Close)
	}
	return o, err
}

// OnClose has f called when the drill is over; the last one first.
func (b *Bench) OnClose(f func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closers = append(b.closers, f)
}

// CopyModel makes a copy of the demo's model that the drill may damage.
func (b *Bench) CopyModel() (string, error) {
	dir, err := os.MkdirTemp(b.Dir, "model")
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(b.Model))
	}
	return dir, err
}

// Output runs another program to its end, in a process group that ends with
// the context, and returns its exit status and all that it wrote.
func (b *Bench) Output(ctx context.Context, name string, args ...string) (status int, text string, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = b.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		err = nil
	}
	if cmd.ProcessState != nil {
		status = cmd.ProcessState.ExitCode()
	}
	return status, string(out), err
}

func (b *Bench) killAll() {
	b.mu.Lock()
	b.closed = true
	workers := b.workers
	b.mu.Unlock()
	for _, w := range workers {
		w.Kill()
	}
}

// close ends what the drill started.
func (b *Bench) close() error {
	b.killAll()
	b.mu.Lock()
	closers := b.closers
	b.mu.Unlock()
	var all error
	for i := len(closers) - 1; i >= 0; i-- {
		all = errors.Join(all, closers[i]())
	}
	return errors.Join(all, os.RemoveAll(b.Dir))
}

// logTails is the end of each worker's log, for a drill that failed.
func (b *Bench) logTails() string {
	const lines, width = 12, 400
	b.mu.Lock()
	defer b.mu.Unlock()
	var out strings.Builder
	for _, w := range b.workers[max(0, len(b.workers)-3):] {
		all := strings.Split(strings.TrimSpace(w.LogText()), "\n")
		fmt.Fprintf(&out, "log of %s, process %d, its end:\n", w.ID, w.PID())
		for _, l := range all[max(0, len(all)-lines):] {
			fmt.Fprintf(&out, "  %.*s\n", width, l)
		}
	}
	return out.String()
}
