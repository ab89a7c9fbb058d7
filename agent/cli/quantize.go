package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"llorch/inference"
)

func quantizeCommand(p *Program) *cobra.Command {
	var format string
	var force bool
	c := &cobra.Command{
		Use: "quantize model file.gguf", Short: "write a SafeTensors model as a GGUF file, in a smaller number format",
		Long: "Reads a SafeTensors model and writes it with its tokenizer as one GGUF file, which this worker and llama.cpp load. The file\n" +
			"appears when it is whole.",
		Example: "  llorch-cpu quantize ./model model-q4_k_m.gguf --format q4_k_m",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("%s takes a model and the file to write, got %d arguments", c.CommandPath(), len(args))
			}
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "q4_k_m", "number format: "+strings.Join(inference.GGUFFormats(), ", "))
	c.Flags().BoolVar(&force, "force", false, "replace a file that is there")
	c.RunE = func(c *cobra.Command, args []string) error {
		if !slices.Contains(inference.GGUFFormats(), strings.ToLower(format)) {
			return usagef("--format %q: want one of %s", format, strings.Join(inference.GGUFFormats(), ", "))
		}
		ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return p.quantize(ctx, args[0], args[1], format, force)
	}
	return c
}

func (p *Program) quantize(ctx context.Context, in, out, format string, force bool) error {
	if _, err := os.Lstat(out); err == nil && !force {
		return fmt.Errorf("%s is there already: give --force to replace it", out)
	}
	began := time.Now()
	doubts, err := inference.WriteGGUF(ctx, in, out, format, force, p.percentLine())
	if err != nil {
		return err
	}
	for _, d := range doubts {
		println(p.Stderr, "note: %s", d)
	}
	info, err := os.Stat(out)
	if err != nil {
		return err
	}
	println(p.Stdout, "%s: %s, %d bytes, in %.1f s", out, strings.ToUpper(format), info.Size(), time.Since(began).Seconds())
	return nil
}
