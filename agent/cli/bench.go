package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"llorch/agent"
	"llorch/agent/bench"
	"llorch/config"
	"llorch/inference/synthetic"
)

// benchFlags are the command's own; those of config come beside them.
type benchFlags struct {
	shape, dtype               string
	json, process              bool
	check, serve, prepare      bool
	contexts, batches, prompts []int
	o                          bench.Options
	t                          bench.Traffic
}

func benchCommand(p *Program) *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use: "bench", Short: "measure speed beside the limits of this machine", Args: noArgs,
		Long: "Measures a model on this machine: start, first token, prefill, decode, memory; beside each the limit of the hardware\n" +
			"measured in the same run. Without --model it writes random weights of a published shape to the user's cache, once.\n" +
			"With --serve it starts a worker and drives its HTTP server with requests that arrive by the clock, served or not.\n" +
			"With --check it fails when a share of a limit is below the one in the table of thresholds.",
		Example: "  llorch-cpu bench --shape tinyllama --dtype q8_0\n  llorch-cpu bench --model model.gguf --serve --rate 0.5 --streams 60",
	}
	config.Register(c.Flags(), config.Common|config.Engine)
	f.register(c.Flags())
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := config.Load(c.Flags(), p.Environ)
		if err != nil {
			return err
		}
		if f.check && f.serve {
			return usagef("--check and --serve are two measurements: choose one")
		}
		if err := f.options(p, c.Flags(), cfg); err != nil {
			return err
		}
		if f.prepare {
			println(p.Stdout, "%s", f.o.Model)
			return nil
		}
		ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return p.bench(ctx, f)
	}
	return c
}

func (f *benchFlags) register(s *pflag.FlagSet) {
	s.StringVar(&f.shape, "shape", "tinyllama", "shape of the random model: "+shapeNames())
	s.StringVar(&f.dtype, "dtype", "bf16", "number format of the random model: "+strings.Join(synthetic.Formats, ", "))
	s.BoolVar(&f.prepare, "prepare", false, "write the random model if need be, print its path, measure nothing")
	s.BoolVar(&f.json, "json", false, "print JSON")
	s.IntVar(&f.o.Repeats, "repeats", 3, "times each measurement is taken; the median counts")
	s.IntVar(&f.o.Tokens, "tokens", 48, "tokens decoded in one measurement, or by one stream")
	s.IntSliceVar(&f.contexts, "contexts", nil, "tokens before one sequence decodes; 0: not measured (16,1024; on a GPU 16,300,1024)")
	s.IntSliceVar(&f.batches, "batches", nil, "sequences that decode at once; 0: not measured (4,8; on a GPU 8,32)")
	s.IntVar(&f.o.Before, "batch-context", 0, "tokens before each of those (16; on a GPU 300)")
	s.IntSliceVar(&f.prompts, "prompts", nil, "tokens of a prefill; 0: not measured (128,512; on a GPU 512,2048)")
	s.Float32Var(&f.o.Heat, "temperature", 0, "at which decode chooses its tokens; 0: the most likely")
	s.BoolVar(&f.process, "process", true, "start the worker's process for its start and its memory")
	s.BoolVar(&f.check, "check", false, "hold decode and prefill against the table of thresholds")
	s.BoolVar(&f.serve, "serve", false, "drive the HTTP server of a worker's process")
	s.IntVar(&f.t.Streams, "streams", 32, "with --serve: requests in all")
	s.Float64Var(&f.t.Rate, "rate", 1, "with --serve: requests that arrive in a second")
	s.BoolVar(&f.t.Even, "even", false, "with --serve: at even distances, instead of those of a Poisson process")
	s.Uint64Var(&f.t.Seed, "seed", 1, "with --serve: of the distances")
	s.IntVar(&f.t.Prompt, "prompt-letters", 128, "with --serve: letters of a prompt; the random model has a token for each")
	s.DurationVar(&f.t.TTFT, "slo-ttft", 0, "with --serve: a good request's first token comes within this (2s)")
	s.DurationVar(&f.t.TPOT, "slo-tpot", 0, "with --serve: and the others so far apart in the mean (200ms)")
}

// options completes what to measure from the settings.
func (f *benchFlags) options(p *Program, flags *pflag.FlagSet, cfg config.Config) (err error) {
	for _, n := range []struct {
		name         string
		value, least float64
	}{{"repeats", float64(f.o.Repeats), 1}, {"tokens", float64(f.o.Tokens), 2}, {"streams", float64(f.t.Streams), 1}, {"rate", f.t.Rate, 1e-6}, {"prompt-letters", float64(f.t.Prompt), 1}} {
		if n.value < n.least {
			return usagef("--%s %v: want at least %v", n.name, n.value, n.least)
		}
	}
	f.o.Contexts, f.o.Batches, f.o.Prompts = positive(f.contexts), positive(f.batches), positive(f.prompts)
	f.o.Widen = !flags.Changed("max-batch")
	f.t.Tokens = f.o.Tokens
	if f.o.Load, err = agent.EngineOptions(cfg); err != nil {
		return err
	}
	if f.o.Model = cfg.Model; f.o.Model == "" {
		if f.o.Model, err = p.randomModel(f.shape, f.dtype); err != nil {
			return err
		}
	}
	f.o.Progress = p.Stderr
	if f.serve || f.process && !f.check {
		bin, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program, to start it as a worker: %w", err)
		}
		f.o.Spawn = &bench.Spawn{Bin: bin, Args: engineFlags(flags), Env: p.Environ}
	}
	return nil
}

// positive returns those above 0, nil only where nothing was given.
func positive(list []int) []int {
	if len(list) == 0 {
		return nil
	}
	return slices.DeleteFunc(append([]int{}, list...), func(n int) bool { return n <= 0 })
}

// engineFlags returns the settings that were given on the command line.
func engineFlags(flags *pflag.FlagSet) (args []string) {
	settings := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.Register(settings, config.Common|config.Engine)
	flags.Visit(func(f *pflag.Flag) {
		if settings.Lookup(f.Name) != nil {
			args = append(args, "--"+f.Name+"="+f.Value.String())
		}
	})
	return args
}

// printer is a result of a measurement.
type printer interface{ Print(w io.Writer) }

func (p *Program) bench(ctx context.Context, f benchFlags) error {
	if f.serve {
		served, err := bench.Serve(ctx, f.o, f.t)
		if err != nil {
			return err
		}
		return p.result(served, f.json)
	}
	report, err := bench.Run(ctx, f.o)
	if err != nil {
		return err
	}
	if !f.check {
		return p.result(report, f.json)
	}
	return p.check(ctx, f, report)
}

func (p *Program) result(r printer, asJSON bool) error {
	if asJSON {
		return p.encode(r)
	}
	r.Print(p.Stdout)
	return nil
}

func (p *Program) encode(v any) error {
	out := json.NewEncoder(p.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

// checkRuns is how often a model is measured before a share that is too small
// counts: other work on the machine makes shares smaller, never larger.
const checkRuns = 3

// check prints the shares and fails if one is too small in every run.
func (p *Program) check(ctx context.Context, f benchFlags, report *bench.Report) error {
	best, err := report.Check()
	if err != nil {
		return err
	}
	for run := 1; run < checkRuns && slices.ContainsFunc(best, bench.Fraction.Missed); run++ {
		println(p.Stderr, "below a threshold: measured again")
		if report, err = bench.Run(ctx, f.o); err != nil {
			return err
		}
		again, err := report.Check()
		if err != nil {
			return err
		}
		best = bench.Better(best, again)
	}
	missed := 0
	for _, fraction := range best {
		if !f.json {
			println(p.Stdout, "%-8s %v", report.Format, fraction)
		}
		if fraction.Missed() {
			missed++
		}
	}
	if f.json {
		if err := p.encode(best); err != nil {
			return err
		}
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d shares are below their thresholds in each of %d runs", missed, len(best), checkRuns)
	}
	return nil
}

// randomModel returns the random model of the shape; it is written where it is
// not there yet.
func (p *Program) randomModel(shape, dtype string) (string, error) {
	s, err := synthetic.ShapeByName(shape)
	if err != nil {
		return "", usage(err)
	}
	dtype = strings.ToLower(dtype)
	if !slices.Contains(synthetic.Formats, dtype) {
		return "", usagef("--dtype %q: want one of %s", dtype, strings.Join(synthetic.Formats, ", "))
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the random model: %w: give --model", err)
	}
	dir := filepath.Join(cache, "llorch", "bench", s.Name+"-"+dtype)
	println(p.Stderr, "model %s", dir)
	return synthetic.Ensure(dir, s, dtype)
}

func shapeNames() string {
	var names []string
	for _, s := range synthetic.Shapes {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}
