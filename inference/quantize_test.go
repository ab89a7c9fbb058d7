package inference

import (
	"context"
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/weights"
)

// TestQuantizeWhileLoading: a model that is quantised while it loads answers as
// the GGUF file of the same format does, which holds the same blocks. Rows of
// query and key come in another order there, and so do sums in attention: ref,
// which rounds nothing on the way, must say the same, the CPU something as long.
func TestQuantizeWhileLoading(t *testing.T) {
	for _, format := range QuantizeFormats {
		file := t.TempDir() + "/m.gguf"
		if _, err := WriteGGUF(t.Context(), demoModel, file, format, false, nil); err != nil {
			t.Fatal(err)
		}
		for _, device := range []string{"cpu", "ref"} {
			shares := []float64{}
			o := Options{Device: device, Quantize: format, Progress: func(p Progress) { shares = append(shares, p.Share) }}
			quantised := openEngine(t, demoModel, o)
			stored := openEngine(t, file, Options{Device: device})
			r := Request{ID: "a", Prompt: "Once upon a time", MaxTokens: 40}
			got, want := ask(t, quantised, r), ask(t, stored, r)
			if device == "ref" && !slices.Equal(got.ids, want.ids) || got.err != nil || len(got.ids) < 5 {
				t.Errorf("%s on %s: %v, the file says %v", format, device, got.ids, want.ids)
			}
			if kind := quantised.Info().Quant; kind != strings.ToUpper(format) || stored.Info().Quant != kind {
				t.Errorf("%s on %s: kinds %s and %s", format, device, kind, stored.Info().Quant)
			}
			if held, plan := quantised.Info().Held[backend.Weights], quantised.Info().Plan; held != plan.Weights || plan.Quantized == 0 {
				t.Errorf("%s on %s: %d bytes of weights are held, the plan has %d, %d of them quantised", format, device, held, plan.Weights, plan.Quantized)
			}
			if !slices.IsSorted(shares) || shares[len(shares)-1] < 0.999 {
				t.Errorf("%s on %s: progress %v", format, device, shares)
			}
		}
	}
}

// TestQuantizeRefused: what cannot be quantised is refused with what to do.
func TestQuantizeRefused(t *testing.T) {
	file := t.TempDir() + "/m.gguf"
	if _, err := WriteGGUF(t.Context(), "testdata/llama-mha", file, "q8_0", false, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ model, format, reason string }{
		{file, "q4_0", "leave --quantize out"},
		{"testdata/llama-mha", "q9", "is not one of"},
		{spoiledModel(t), "q8_0", "too large for the scale"},
	} {
		ins, err := Inspect(c.model)
		if err != nil {
			t.Fatal(err)
		}
		e, err := Load(context.Background(), ins, Options{Device: "cpu", Quantize: c.format})
		if err == nil {
			e.Close()
			t.Errorf("%s as %s was loaded", c.model, c.format)
		} else if !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s as %s: %v", c.model, c.format, err)
		}
	}
	if _, err := WriteGGUF(t.Context(), spoiledModel(t), t.TempDir()+"/x.gguf", "q8_0", false, nil); err == nil || !strings.Contains(err.Error(), "too large for the scale") {
		t.Errorf("written: %v", err)
	}
}

// spoiledModel has one weight that is a number, and beyond any scale in binary16.
func spoiledModel(t *testing.T) string {
	t.Helper()
	dir := copyModel(t, "testdata/llama-mha")
	s, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x, _ := s.Tensor("model.layers.1.mlp.up_proj.weight")
	f, err := os.OpenFile(s.Files[x.File].Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(binary.LittleEndian.AppendUint32(nil, 0x7e000000), x.Offset+400); err != nil { // about 4e37
		t.Fatal(err)
	}
	return dir
}
