package inference

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cpu"
	"llorch/inference/backend/ref"
	"llorch/inference/model/llama"
	"llorch/inference/tensor"
)

// The goldens of transformers hold for GGUF files of the same models, which are
// made here: names, metadata and the order of rows are all that changes.

// asGGUF writes the model in dir as a GGUF file.
func asGGUF(t testing.TB, dir, format string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(dir)+".gguf")
	if _, err := WriteGGUF(t.Context(), dir, path, format, false, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

// ggufModels are the tiny models that GGUF has words for: it has none for a yarn
// scaling whose bounds are not rounded.
func ggufModels(t testing.TB) []string {
	return slices.DeleteFunc(goldenModels(t), func(dir string) bool { return filepath.Base(dir) == "llama-rope-yarn-parameters" })
}

// TestGGUFGoldens compares logits and greedy ids of the converted models with
// those of transformers, prefilled and decoded.
func TestGGUFGoldens(t *testing.T) {
	formats := map[string]string{"llama-bf16": "bf16", "llama-f16": "f16"}
	for _, dir := range ggufModels(t) {
		g := readGolden(t, dir)
		logits := g.tensor(t, "logits")
		path := ""
		if format := formats[filepath.Base(dir)]; format != "" {
			path = asGGUF(t, dir, format)
		} else {
			path = asGGUF(t, dir, "f32")
		}
		for _, o := range variants() {
			if o.Device == "cpu" && o.ISA == cpu.ISAs()[0] && len(cpu.ISAs()) > 1 {
				continue
			}
			t.Run(filepath.Base(dir)+"/"+o.Device, func(t *testing.T) {
				r := newRig(t, path, o)
				for i, p := range g.Prompts {
					r.rows = 0
					last := r.forward(t, p.IDs, false)
					name := fmt.Sprintf("prompt of %d", len(p.IDs))
					near(t, name+": logits", last, logits[i*r.spec.Vocab:(i+1)*r.spec.Vocab], 1e-4*r.slack)
					r.checkGreedy(t, name, last, p.Greedy)
				}
			})
		}
	}
}

// TestGGUFSaysTheSame: what is known of a model does not depend on the container.
func TestGGUFSaysTheSame(t *testing.T) {
	for _, dir := range append(ggufModels(t), demoModel) {
		want, err := Inspect(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer want.Close()
		got, err := Inspect(asGGUF(t, dir, "bf16"))
		if err != nil {
			t.Errorf("%s: %v", dir, err)
			continue
		}
		defer got.Close()
		a, b := want.Spec, got.Spec
		if a.Architecture == "mistral" {
			a.Architecture = "llama"
		}
		a.Warnings, b.Warnings = nil, nil
		if fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", b) {
			t.Errorf("%s:\n%+v as SafeTensors\n%+v as GGUF", dir, a, b)
		}
		c, d := want.Config.(*llama.Config), got.Config.(*llama.Config)
		if !slices.Equal(c.Windows, d.Windows) || c.RotaryDim != d.RotaryDim || c.QKVBias != d.QKVBias || c.OutputBias != d.OutputBias || c.MLPBias != d.MLPBias ||
			c.Rope.AttentionFactor-d.Rope.AttentionFactor > 1e-6 || c.NormEps != d.NormEps {
			t.Errorf("%s:\n%+v as SafeTensors\n%+v as GGUF", dir, c, d)
		}
		if got.Quant() != "BF16" || got.Tok.Kind() != "gguf-bpe" || got.Name != filepath.Base(dir) {
			t.Errorf("%s: %s %s %s", dir, got.Quant(), got.Tok.Kind(), got.Name)
		}
		ids, err := want.Tok.Encode("Once upon a time, 12 cats.")
		same, err2 := got.Tok.Encode("Once upon a time, 12 cats.")
		if err != nil || err2 != nil || !slices.Equal(ids, same) {
			t.Errorf("%s: %v %v, as GGUF %v %v", dir, ids, err, same, err2)
		}
	}
}

// quantBudgets bound how far logits may be from those of the same weights
// multiplied in float32, as a share of the largest. Kernels may round the
// activations to 8 bits.
var quantBudgets = map[string]float64{"q8_0": 0.03, "q4_0": 0.03, "q4_k_m": 0.03}

// TestGGUFQuantised compares the devices on quantised files of the trained model
// with the reference on the weights as they decode, in float32: that device has
// its weights widened.
func TestGGUFQuantised(t *testing.T) {
	g := readGolden(t, "testdata/demo")
	for format, budget := range quantBudgets {
		path := asGGUF(t, demoModel, format)
		wide := newRig(t, path, Options{Device: "narrow"})
		for _, o := range []Options{{Device: "cpu", Threads: 2}, {Device: "ref"}} {
			if o.Device == "ref" {
				budget = 1e-4 // by definition
			}
			r := newRig(t, path, o)
			for i, p := range g.Prompts[:min(2, len(g.Prompts))] {
				for _, decode := range []bool{false, true} {
					wide.rows, r.rows = 0, 0
					ids := p.IDs[:min(12, len(p.IDs))]
					want := wide.forward(t, ids, false)
					got := r.forward(t, ids, false)
					if decode {
						want, got = wide.forward(t, p.Greedy[:1], true), r.forward(t, p.Greedy[:1], true)
					}
					near(t, fmt.Sprintf("%s on %s: prompt %d, decode %v", format, o.Device, i, decode), got, want, budget)
				}
			}
		}
	}
}

// narrow is a device that multiplies with unblocked formats only.
type narrow struct{ backend.Device }

func (narrow) Computes(t tensor.DType) bool { return t.Block() == 1 }

func init() {
	backend.Register("narrow", func(o backend.Options) (backend.Device, error) {
		d, err := ref.Open(o)
		return narrow{d}, err
	})
}

// TestWideningIsPlanned: a format without a kernel runs all the same, and the plan
// knows what it takes.
func TestWideningIsPlanned(t *testing.T) {
	path := asGGUF(t, demoModel, "q4_0")
	ins, err := Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Device: "narrow", MaxContext: 128}
	plan := ins.Plan(o)
	ins.Close()
	if len(plan.Widened) != 2 { // Q4_0, and the head in Q6_K
		t.Fatalf("%v", plan.Widened)
	}
	for _, w := range plan.Widened {
		if w.Wide < 4*w.Bytes || !strings.Contains(w.String(), "narrow has no kernel for Q") {
			t.Errorf("%+v: %v", w, w)
		}
	}
	e := openEngine(t, path, o)
	if held := e.Info().Held[backend.Weights]; held != plan.Weights {
		t.Errorf("%d bytes held, %d planned", held, plan.Weights)
	}
	checkHeld(t, e)
	if a := ask(t, e, Request{ID: "a", Prompt: "Once upon a time", MaxTokens: 4}); a.err != nil || len(a.ids) != 4 {
		t.Errorf("%+v", a)
	}
	for _, kind := range []string{"cpu", "ref"} {
		d, err := backend.Open(kind, backend.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for f := tensor.F32; f.Known(); f++ {
			if a, b := backend.Computes(d, f), backend.WillCompute(kind, backend.Options{}, f); a != b {
				t.Errorf("%s computes %v: %v, and said %v before", kind, f, a, b)
			}
		}
		d.Close()
	}
}
