package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"llorch/agent"
	"llorch/agent/bench"
	"llorch/config"
	"llorch/inference/synthetic"
)

func benchCommand(p *Program) *cobra.Command {
	var shape, dtype string
	var asJSON bool
	var o bench.Options
	c := &cobra.Command{
		Use: "bench", Short: "measure speed beside the limits of this machine", Args: noArgs,
		Long: "Measures a model on this machine: loading, first token, prefill, decode, memory; beside each the limit of the hardware\n" +
			"measured in the same run. Without --model it writes random weights of a published shape to the user's cache, once.",
		Example: "  llorch-cpu bench --shape tinyllama --dtype bf16",
	}
	config.Register(c.Flags(), config.Common|config.Engine)
	c.Flags().StringVar(&shape, "shape", "tinyllama", "shape of the random model: "+shapeNames())
	c.Flags().StringVar(&dtype, "dtype", "bf16", "number format of the random model: bf16, f16 or f32")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().IntVar(&o.Repeats, "repeats", 3, "times each measurement is taken; the median counts")
	c.Flags().IntVar(&o.Tokens, "tokens", 48, "tokens decoded in one measurement")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := config.Load(c.Flags(), p.Environ)
		if err != nil {
			return err
		}
		if o.Load, err = agent.EngineOptions(cfg); err != nil {
			return err
		}
		if o.Model = cfg.Model; o.Model == "" {
			if o.Model, err = p.randomModel(shape, dtype); err != nil {
				return err
			}
		}
		o.Progress = p.Stderr
		ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return p.bench(ctx, o, asJSON)
	}
	return c
}

func (p *Program) bench(ctx context.Context, o bench.Options, asJSON bool) error {
	report, err := bench.Run(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		out := json.NewEncoder(p.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(report)
	}
	report.Print(p.Stdout)
	return nil
}

// randomModel returns the folder of a random model of the shape; it is written
// where it is not there yet.
func (p *Program) randomModel(shape, dtype string) (string, error) {
	s, err := synthetic.ShapeByName(shape)
	if err != nil {
		return "", usage(err)
	}
	dtype = strings.ToLower(dtype)
	if !slices.Contains([]string{"bf16", "f16", "f32"}, dtype) {
		return "", usagef("--dtype %q: want bf16, f16 or f32", dtype)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the random model: %w: give --model", err)
	}
	dir := filepath.Join(cache, "llorch", "bench", s.Name+"-"+dtype)
	println(p.Stderr, "model %s", dir)
	return dir, synthetic.Ensure(dir, s, dtype)
}

func shapeNames() string {
	var names []string
	for _, s := range synthetic.Shapes {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}
