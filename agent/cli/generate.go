package cli

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"llorch/agent"
	"llorch/config"
	"llorch/inference"
	"llorch/inference/sample"
)

// maxStdin bounds a prompt read from standard input: more than any context takes.
const maxStdin = 8 << 20

// generateFlags are what a request can say.
type generateFlags struct {
	prompt    string
	maxTokens int
	seed      uint64
	sampling  sample.Params
	stop      []string
}

func generateCommand(p *Program) *cobra.Command {
	var f generateFlags
	c := &cobra.Command{
		Use: "generate [prompt]", Short: "complete one prompt on the terminal", Args: atMostOne,
		Long:    "Completes the prompt given by --prompt, as the argument, or on standard input. Text goes to standard output, figures to\nstandard error.",
		Example: "  llorch-cpu generate --model ./model 'Once upon a time'",
	}
	config.Register(c.Flags(), config.Common|config.Engine)
	fs := c.Flags()
	fs.StringVar(&f.prompt, "prompt", "", "text to complete")
	fs.IntVar(&f.maxTokens, "max-tokens", 256, "most tokens to generate")
	fs.Float32Var(&f.sampling.Temperature, "temperature", 0.8, "0: always the likeliest token")
	fs.Float32Var(&f.sampling.TopP, "top-p", 0.95, "keep the likeliest tokens that together have this probability")
	fs.IntVar(&f.sampling.TopK, "top-k", 0, "keep the k likeliest tokens; 0: all")
	fs.Float32Var(&f.sampling.MinP, "min-p", 0, "keep tokens with at least this share of the likeliest one's probability")
	fs.Float32Var(&f.sampling.RepetitionPenalty, "repetition-penalty", 1, "1: none")
	fs.Uint64Var(&f.seed, "seed", 0, "of the draw (random when not given)")
	fs.StringArrayVar(&f.stop, "stop", nil, "end the text before this string (may be repeated)")
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := p.engineConfig(c)
		if err != nil {
			return err
		}
		if err := f.complete(c, args, p.Stdin); err != nil {
			return err
		}
		return p.generate(c.Context(), cfg, f)
	}
	return c
}

// engineConfig reads the settings of a command that needs a model.
func (p *Program) engineConfig(c *cobra.Command) (config.Config, error) {
	cfg, err := config.Load(c.Flags(), p.Environ)
	if err == nil && cfg.Model == "" {
		err = usagef("model is missing: give --model <folder or weight file>")
	}
	return cfg, err
}

// complete finds the prompt and checks the ranges that the wire has, too.
func (f *generateFlags) complete(c *cobra.Command, args []string, stdin *os.File) error {
	given := c.Flags().Changed("prompt")
	switch {
	case given && len(args) > 0:
		return usagef("two prompts: give --prompt or an argument")
	case len(args) > 0:
		f.prompt = args[0]
	case !given && isTerminal(stdin):
		return usagef("the prompt is missing: give --prompt, an argument, or text on standard input")
	case !given:
		text, err := io.ReadAll(io.LimitReader(stdin, maxStdin))
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		f.prompt = strings.TrimSuffix(string(text), "\n")
	}
	if f.prompt == "" {
		return usagef("the prompt is empty")
	}
	if !c.Flags().Changed("seed") {
		var b [8]byte
		rand.Read(b[:]) // never fails: crypto/rand ends the program rather than return an error
		f.seed = binary.LittleEndian.Uint64(b[:])
	}
	f.sampling.Seed = f.seed
	s := f.sampling
	for _, r := range []struct {
		name      string
		value, to float32
	}{{"temperature", s.Temperature, 2}, {"top-p", s.TopP, 1}, {"min-p", s.MinP, 1}, {"repetition-penalty", s.RepetitionPenalty, 2}} {
		if !(r.value >= 0 && r.value <= r.to) {
			return usagef("--%s is %v: give 0 to %v", r.name, r.value, r.to)
		}
	}
	if f.maxTokens < 1 || s.TopK < 0 {
		return usagef("--max-tokens must be at least 1 and --top-k at least 0")
	}
	return nil
}

// generate loads the model, streams one answer and unloads.
func (p *Program) generate(ctx context.Context, cfg config.Config, f generateFlags) error {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	cfg.MaxBatch, cfg.MaxQueue = 1, 0 // one request: no memory for others
	o, err := agent.EngineOptions(cfg)
	if err != nil {
		return err
	}
	ins, err := inference.Inspect(cfg.Model)
	if err != nil {
		return err
	}
	if _, _, err := agent.Forecast(ctx, ins, &o); err != nil {
		_ = ins.Close()
		return err
	}
	e, err := inference.Load(ctx, ins, o)
	if err != nil {
		return err
	}
	err = p.stream(ctx, e, f)
	if closed := e.Close(); err == nil {
		err = closed
	}
	return err
}

func (p *Program) stream(ctx context.Context, e *inference.Engine, f generateFlags) error {
	events, err := e.Generate(ctx, inference.Request{ID: "generate", Prompt: f.prompt, MaxTokens: f.maxTokens, Sampling: f.sampling, Stop: f.stop})
	if err != nil {
		return err
	}
	for ev := range events {
		switch {
		case ev.Err != nil:
			println(p.Stdout, "")
			return ev.Err
		case ev.End != nil:
			println(p.Stdout, "")
			p.figures(ev.End, f.seed)
		default:
			if _, err := io.WriteString(p.Stdout, ev.Text); err != nil {
				return fmt.Errorf("standard output: %w", err)
			}
		}
	}
	return nil
}

// figures reports speeds. Decode counts from the first step, so the share of
// the prompt is taken off to get the speed of generation alone.
func (p *Program) figures(end *inference.End, seed uint64) {
	rate := func(n int, seconds float64) float64 {
		if n <= 0 || seconds <= 0 {
			return 0
		}
		return float64(n) / seconds
	}
	// What the cache knew of the prompt was not computed.
	println(p.Stderr, "prompt %d tokens at %.1f tokens/s, generated %d at %.1f tokens/s, ended by %s, seed %d",
		end.TokensIn, rate(end.TokensIn-end.TokensCached, end.Prefill.Seconds()),
		end.TokensOut, rate(end.TokensOut-1, (end.Decode-end.Prefill).Seconds()), end.Reason, seed)
}
