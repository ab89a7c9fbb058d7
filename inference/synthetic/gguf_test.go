package synthetic

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"llorch/inference"
	"llorch/inference/convert"
	"llorch/inference/tensor"
	"llorch/inference/weights"
)

var blocks = Shape{Name: "blocks", Hidden: 256, FFN: 512, Layers: 9, Heads: 4, KVHeads: 2, HeadDim: 64, Vocab: 300, Positions: 128}

// TestGGUF reads files of every format: the mixtures are llama-quantize's, the
// values are finite and vary from row to row.
func TestGGUF(t *testing.T) {
	// Of nine layers the first, the last two and every third between have more bits.
	const more = "0 3 6 7 8"
	for format, want := range map[string]struct{ matrix, head, value string }{
		"gguf-f32": {"F32", "F32", "F32"}, "gguf-f16": {"F16", "F16", "F16"}, "gguf-bf16": {"BF16", "BF16", "BF16"},
		"q8_0": {"Q8_0", "Q8_0", "Q8_0"}, "q4_0": {"Q4_0", "Q6_K", "Q4_0"}, "q4_k_m": {"Q4_K", "Q6_K", "Q6_K"},
	} {
		dir := filepath.Join(t.TempDir(), "m-"+format)
		path, err := Ensure(dir, blocks, format)
		if err != nil || path != filepath.Join(dir, "m-"+format+".gguf") {
			t.Fatal(path, err)
		}
		s, err := weights.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if n := len(s.Names()); n != 9*9+3 {
			t.Errorf("%s: %d tensors", format, n)
		}
		for name, kind := range map[string]string{
			"token_embd.weight": want.matrix, "output.weight": want.head, "output_norm.weight": "F32",
			"blk.0.attn_q.weight": want.matrix, "blk.3.ffn_down.weight": want.value, "blk.0.attn_norm.weight": "F32",
		} {
			if x, ok := s.Tensor(name); !ok || x.Format != kind {
				t.Errorf("%s: %s is %+v, want %s", format, name, x, kind)
			}
		}
		if format == "q4_k_m" {
			var layers []string
			for i := range blocks.Layers {
				if x, _ := s.Tensor("blk." + string(rune('0'+i)) + ".attn_v.weight"); x.Format == "Q6_K" {
					layers = append(layers, string(rune('0'+i)))
				}
			}
			if got := strings.Join(layers, " "); got != more {
				t.Errorf("attn_v has more bits in layers %s, want %s", got, more)
			}
		}
		readable(t, path)
		varied(t, s, "blk.1.ffn_up.weight")
		varied(t, s, "output.weight")
	}
}

// readable opens the file as a worker does: one letter is one token, and
// nothing ends a text.
func readable(t *testing.T, path string) {
	t.Helper()
	ins, err := inference.Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ins.Close()
	if ids, err := ins.Tok.Encode("abc d"); err != nil || len(ids) != 5 || ids[0] != 'a' {
		t.Errorf("%s: %v %v", path, ids, err)
	}
	if s := ins.Spec; len(s.EOS) > 0 || s.Vocab != blocks.Vocab || s.Layers != blocks.Layers {
		t.Errorf("%s: %+v", path, s)
	}
}

// varied checks the first rows of a matrix.
func varied(t *testing.T, s *weights.Source, name string) {
	t.Helper()
	x, _ := s.Tensor(name)
	cols := x.Shape[1]
	raw := make([]byte, 2*x.Type.RowBytes(cols))
	if err := s.ReadTensor(x, raw, 0); err != nil {
		t.Fatal(err)
	}
	rows := make([]float32, 2*cols)
	x.Type.Decode(rows, raw)
	var squares float64
	equal := 0
	for i, v := range rows {
		squares += float64(v) * float64(v)
		if i < cols && v == rows[cols+i] {
			equal++
		}
	}
	// The deviation is 0.02; four bits round it by a few percent.
	if rms := math.Sqrt(squares / float64(len(rows))); !(rms > 0.017 && rms < 0.023) || equal > cols/2 {
		t.Errorf("%s %v: root mean square %v, %d of %d elements as in the next row", name, x.Type, rms, equal, cols)
	}
}

func TestShapesWithoutWholeBlocks(t *testing.T) {
	s, err := ShapeByName("stories15m") // rows of 288
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "x")
	if _, err := Ensure(dir, s, "q4_k_m"); err == nil || !strings.Contains(err.Error(), "288") {
		t.Errorf("%v", err)
	}
	for _, s := range Shapes[1:] {
		for _, m := range convert.Targets {
			if err := s.fits(m); err != nil {
				t.Error(err)
			}
		}
	}
	if noiseLength%tensor.Q6_K.Block() != 0 {
		t.Error("the noise is no whole number of blocks")
	}
}
