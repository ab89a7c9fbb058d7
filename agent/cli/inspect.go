package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"llorch/agent"
	"llorch/config"
	"llorch/inference"
	"llorch/residency"
)

// modelReport is what `inspect` tells. Bytes are bytes.
type modelReport struct {
	Name          string       `json:"name"`
	Path          string       `json:"path"`
	Architecture  string       `json:"architecture"`
	Quant         string       `json:"quant"`
	Parameters    int64        `json:"parameters"`
	Layers        int          `json:"layers"`
	Hidden        int          `json:"hidden"`
	FFN           int          `json:"ffn"`
	Heads         int          `json:"heads"`
	KVHeads       int          `json:"kv_heads"`
	HeadDim       int          `json:"head_dim"`
	MaxPositions  int          `json:"max_positions"`
	TiedHead      bool         `json:"tied_head"`
	Vocab         int          `json:"vocab"`
	TokenizerKind string       `json:"tokenizer_kind"`
	BOS           int32        `json:"bos"`
	EOS           []int32      `json:"eos"`
	Digest        string       `json:"manifest_digest,omitempty"` // as the manifest says; verify compares
	Files         []fileReport `json:"files"`
	Formats       []formatSum  `json:"formats"`
	Warnings      []string     `json:"warnings,omitempty"`
	Memory        memoryReport `json:"memory"`
	Tensors       []tensorLine `json:"tensors,omitempty"`
}

type fileReport struct {
	Path    string `json:"path"`
	Bytes   int64  `json:"bytes"`
	Tensors int    `json:"tensors"`
}

type formatSum struct {
	Format  string `json:"format"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"bytes"`
}

type tensorLine struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	Shape  []int  `json:"shape"`
	Bytes  int64  `json:"bytes"`
}

// memoryReport is what serving it here would take.
type memoryReport struct {
	Device    string `json:"device"`
	Weights   int64  `json:"weights"`
	Cache     int64  `json:"cache"`
	Scratch   int64  `json:"scratch"`
	Context   int    `json:"context"`
	Required  int64  `json:"required"`
	Available int64  `json:"available"`
	Bound     string `json:"bound"`
	Fits      bool   `json:"fits"`
}

func inspectCommand(p *Program) *cobra.Command {
	var asJSON, tensors bool
	c := &cobra.Command{
		Use: "inspect [model]", Short: "what is in a model, and what memory it will need here", Args: atMostOne,
		Example: "  llorch-cpu inspect ./model --tensors",
	}
	config.Register(c.Flags(), config.Common|config.Engine)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&tensors, "tensors", false, "list every tensor")
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			if c.Flags().Changed("model") {
				return usagef("two models: give --model or an argument")
			}
			if err := c.Flags().Set("model", args[0]); err != nil {
				return usage(err)
			}
		}
		cfg, err := p.engineConfig(c)
		if err != nil {
			return err
		}
		r, err := inspect(c.Context(), cfg, tensors)
		if err != nil {
			return err
		}
		if asJSON {
			return writeIndented(p.Stdout, r)
		}
		var page bytes.Buffer // one write, whose failure (a full disk) is the command's
		r.print(&page)
		_, err = page.WriteTo(p.Stdout)
		return err
	}
	return c
}

func writeIndented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func inspect(ctx context.Context, cfg config.Config, tensors bool) (*modelReport, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	ins, err := inference.Inspect(cfg.Model)
	if err != nil {
		return nil, err
	}
	defer ins.Close()
	o, err := agent.EngineOptions(cfg)
	if err != nil {
		return nil, err
	}
	s := ins.Spec
	r := &modelReport{
		Name: ins.Name, Path: ins.Source.Path, Architecture: s.Architecture, Quant: ins.Quant(), Parameters: ins.Params(),
		Layers: s.Layers, Hidden: s.Hidden, FFN: s.FFN, Heads: s.Heads, KVHeads: s.KVHeads, HeadDim: s.HeadDim,
		MaxPositions: s.MaxPositions, TiedHead: s.TiedHead, Vocab: s.Vocab, TokenizerKind: ins.Tok.Kind(), BOS: s.BOS, EOS: s.EOS,
		Warnings: slices.Concat(ins.Source.Warnings, s.Warnings),
	}
	if r.Digest, err = inference.StoredDigest(ins.Source); err != nil {
		r.Warnings = append(r.Warnings, err.Error())
	}
	r.files(ins, tensors)
	plan, forecast, err := agent.Forecast(ctx, ins, &o)
	var short *residency.ShortfallError
	unusable := errors.Is(err, agent.ErrDevice)
	switch {
	case unusable:
		r.Warnings = append(r.Warnings, err.Error())
		forecast.Required, forecast.Bound = plan.Total(), "a device that cannot be used"
	case err != nil && !errors.As(err, &short):
		return nil, err
	}
	for _, widened := range plan.Widened {
		r.Warnings = append(r.Warnings, widened.String())
	}
	r.Memory = memoryReport{
		Device: fmt.Sprintf("%s:%d", o.Device, o.Index), Weights: plan.Weights, Cache: plan.Cache, Scratch: plan.Scratch,
		Context: plan.Context, Required: forecast.Required, Available: forecast.Available, Bound: forecast.Bound, Fits: short == nil && !unusable,
	}
	if short != nil {
		r.Memory.Required, r.Memory.Available, r.Memory.Bound = short.Required, short.Available, short.Bound
	}
	return r, nil
}

// files sums up the tensors by file and format.
func (r *modelReport) files(ins *inference.Inspection, list bool) {
	for _, f := range ins.Source.Files {
		r.Files = append(r.Files, fileReport{f.Path, f.Size, f.Tensors})
	}
	sums := map[string]*formatSum{}
	for _, name := range ins.Source.Names() {
		t, _ := ins.Source.Tensor(name)
		if sums[t.Format] == nil {
			sums[t.Format] = &formatSum{Format: t.Format}
		}
		sums[t.Format].Tensors++
		sums[t.Format].Bytes += t.Bytes
		if list {
			r.Tensors = append(r.Tensors, tensorLine{t.Name, t.Format, t.Shape, t.Bytes})
		}
	}
	for _, s := range sums {
		r.Formats = append(r.Formats, *s)
	}
	slices.SortFunc(r.Formats, func(a, b formatSum) int { return int(min(max(b.Bytes-a.Bytes, -1), 1)) })
}

func (r *modelReport) print(w io.Writer) {
	println(w, "model         %s (%s)", r.Name, r.Path)
	println(w, "architecture  %s, %d parameters, %s", r.Architecture, r.Parameters, r.Quant)
	println(w, "shape         %d layers, hidden %d, ffn %d, %d heads, %d kv heads, head dim %d, tied head %v", r.Layers, r.Hidden, r.FFN, r.Heads, r.KVHeads, r.HeadDim, r.TiedHead)
	println(w, "positions     %d", r.MaxPositions)
	println(w, "tokenizer     %s, %d entries, bos %d, eos %v", r.TokenizerKind, r.Vocab, r.BOS, r.EOS)
	if r.Digest != "" {
		println(w, "manifest      %s (not compared: see verify)", r.Digest)
	}
	for _, f := range r.Files {
		println(w, "file          %s: %d tensors, %s", f.Path, f.Tensors, size(f.Bytes))
	}
	for _, f := range r.Formats {
		println(w, "format        %s: %d tensors, %s", f.Format, f.Tensors, size(f.Bytes))
	}
	for _, note := range r.Warnings {
		println(w, "note          %s", note)
	}
	m := r.Memory
	verdict := "fits"
	if !m.Fits {
		verdict = "DOES NOT FIT"
	}
	println(w, "memory here   %s of %s available on %s (%s): %s", size(m.Required), size(m.Available), m.Device, m.Bound, verdict)
	println(w, "              weights %s, cache %s for a context of %d, scratch %s", size(m.Weights), size(m.Cache), m.Context, size(m.Scratch))
	for _, t := range r.Tensors {
		println(w, "tensor        %-60s %-6s %v", t.Name, t.Format, t.Shape)
	}
}

// size writes bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}
