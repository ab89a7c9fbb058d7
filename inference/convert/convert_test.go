package convert

import (
	"bytes"
	"strings"
	"testing"

	"llorch/inference/model/llama"
	"llorch/inference/tensor"
)

func TestParseTarget(t *testing.T) {
	for _, want := range Targets {
		if got, err := ParseTarget(strings.ToUpper(want.Name)); err != nil || got != want {
			t.Errorf("%s: %v %v", want.Name, got, err)
		}
	}
	if _, err := ParseTarget("q9"); err == nil || !strings.Contains(err.Error(), "f32, f16, bf16, q8_0, q4_0, q4_k_m") {
		t.Error(err)
	}
}

// TestFormats: what llama-quantize of the same models chose.
func TestFormats(t *testing.T) {
	for _, c := range []struct {
		target       string
		role         llama.Role
		layer, width int
		want         tensor.DType
	}{
		{"f32", llama.Matrix, 0, 64, tensor.F32}, {"f16", llama.Head, 0, 64, tensor.F16}, {"bf16", llama.Vector, 0, 64, tensor.F32},
		{"q8_0", llama.Head, 0, 64, tensor.Q8_0}, {"q8_0", llama.Down, 0, 688, tensor.F16},
		{"q4_0", llama.Embedding, 0, 256, tensor.Q4_0}, {"q4_0", llama.Head, 0, 256, tensor.Q6_K}, {"q4_0", llama.Head, 0, 64, tensor.Q8_0}, {"q4_0", llama.Value, 0, 256, tensor.Q4_0},
		{"q4_k_m", llama.Embedding, 0, 256, tensor.Q4_K}, {"q4_k_m", llama.Head, 0, 256, tensor.Q6_K}, {"q4_k_m", llama.Matrix, 0, 256, tensor.Q4_K},
		{"q4_k_m", llama.Matrix, 0, 96, tensor.Q5_0}, {"q4_k_m", llama.Matrix, 0, 100, tensor.F16},
		// 22 layers: the first 2, the last 3, and 4, 7, 10, 13, 16.
		{"q4_k_m", llama.Value, 0, 256, tensor.Q6_K}, {"q4_k_m", llama.Down, 1, 256, tensor.Q6_K}, {"q4_k_m", llama.Down, 2, 256, tensor.Q4_K},
		{"q4_k_m", llama.Down, 4, 256, tensor.Q6_K}, {"q4_k_m", llama.Value, 5, 256, tensor.Q4_K}, {"q4_k_m", llama.Down, 18, 256, tensor.Q4_K}, {"q4_k_m", llama.Down, 19, 256, tensor.Q6_K},
	} {
		target, err := ParseTarget(c.target)
		if err != nil {
			t.Fatal(err)
		}
		if got := target.Format(llama.Export{Role: c.role, Layer: c.layer}, c.width, 22); got != c.want {
			t.Errorf("%s, role %d, layer %d, rows of %d: %v, want %v", c.target, c.role, c.layer, c.width, got, c.want)
		}
	}
}

// TestInterleave: of two heads of six rows the rows 0, 3, 1, 4, 2, 5 of each.
func TestInterleave(t *testing.T) {
	src := []byte("a0a1a2a3a4a5b0b1b2b3b4b5")
	dst := make([]byte, len(src))
	interleave(dst, src, 6, 2)
	if want := "a0a3a1a4a2a5b0b3b1b4b2b5"; !bytes.Equal(dst, []byte(want)) {
		t.Errorf("%s, want %s", dst, want)
	}
}
