package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"llorch/agent"
	"llorch/agent/listen"
	"llorch/agent/notify"
	"llorch/agent/trace"
	"llorch/config"
)

func serveCommand(p *Program) *cobra.Command {
	c := &cobra.Command{
		Use: "serve", Short: "load a model and serve it (also what the bare program does)", Args: noArgs,
		Example: "  llorch-cpu --model ./model --port 8080 --local-mode",
	}
	config.Register(c.Flags(), config.Common|config.Engine|config.Serve)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := config.Load(c.Flags(), p.Environ)
		if err != nil {
			return err
		}
		sockets, err := p.inherit()
		if err != nil {
			return err
		}
		cfg.Inherits = len(sockets) > 0
		if err := cfg.ValidateServe(); err != nil {
			return err
		}
		return p.serve(c.Context(), cfg, sockets)
	}
	return c
}

// inherit takes the sockets that came with the process; its children shall not look for them.
func (p *Program) inherit() ([]listen.Socket, error) {
	sockets, err := listen.Inherit(p.Environ, os.Getpid())
	for _, name := range listen.Variables {
		err = errors.Join(err, os.Unsetenv(name))
	}
	return sockets, err
}

const (
	logBacklog  = 1 << 20                // bytes of log lines kept for a slow reader
	logPatience = 300 * time.Millisecond // given to that reader at the end
)

// serve runs a worker under the process's signals.
func (p *Program) serve(ctx context.Context, cfg config.Config, sockets []listen.Socket) error {
	if ctx == nil {
		ctx = context.Background()
	}
	// A log reader that went away must not kill the worker.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	var bar io.Writer
	var lines io.Writer = p.Stdout
	if isTerminal(p.Stderr) {
		s := &screen{lines: p.Stdout, bar: p.Stderr}
		lines, bar = s, screenBar{s}
	}
	out := agent.NewLogQueue(lines, logBacklog)
	defer out.Close(logPatience)
	log := p.logger(cfg, out)
	manager, err := notify.Open(p.Environ, os.Getpid())
	if err != nil { // the worker is of use without; the manager will say what it misses
		log.Warn("service manager", "error", err)
	}
	defer manager.Close()
	tracer, err := trace.Open(ctx, trace.Options{
		Endpoint: cfg.OTLPEndpoint, Environ: p.Environ, WorkerID: cfg.WorkerID, Version: p.version(), Log: log,
	})
	if err != nil { // nor does it need a collector
		log.Warn("tracing", "error", err)
	}
	err = agent.Run(ctx, agent.Options{
		Config: cfg, Version: p.version(), Log: log, Bar: bar, Signals: signals, Notify: manager, Sockets: sockets,
		Trace: tracer,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errReported, err)
	}
	return nil
}

// logger writes to out, which passes lines to standard output: JSON for
// programs, text for people.
func (p *Program) logger(cfg config.Config, out io.Writer) *slog.Logger {
	pretty := cfg.LogFormat == "pretty" || cfg.LogFormat == "auto" && isTerminal(p.Stdout)
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		level = slog.LevelInfo // config.Validate lets no other word through
	}
	return agent.NewLogger(out, level, pretty)
}
