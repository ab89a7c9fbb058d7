package synthetic

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llorch/inference/model/llama"
	"llorch/inference/tokenize"
	"llorch/inference/weights"
)

// TestEnsure writes a small model in each format and reads it with the parsers
// of real models: every tensor is there, nothing ends a text, one byte is one
// token.
func TestEnsure(t *testing.T) {
	s := Shape{Name: "small", Hidden: 48, FFN: 80, Layers: 2, Heads: 3, KVHeads: 1, HeadDim: 16, Vocab: 300, Positions: 128}
	for format, size := range map[string]int64{"f32": 4, "f16": 2, "bf16": 2} {
		dir := filepath.Join(t.TempDir(), "cache", "small-"+format)
		if path, err := Ensure(dir, s, format); err != nil || path != dir {
			t.Fatal(path, err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := llama.ParseConfig("config.json", text, nil, llama.Family)
		if err != nil {
			t.Fatal(err)
		}
		source, err := weights.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		if err := c.Check(source); err != nil || len(c.EOS) > 0 || c.BOS >= 0 {
			t.Errorf("%s: %v; bos %d, eos %v", format, err, c.BOS, c.EOS)
		}
		layers, head := s.MatrixParams()
		norms := int64((2*s.Layers + 1) * s.Hidden)
		if want := size * (layers + 2*head + norms); source.Bytes() != want {
			t.Errorf("%s: %d bytes of tensors, want %d", format, source.Bytes(), want)
		}
		tok, err := tokenize.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer tok.Close()
		if ids, err := tok.Encode("abc é\n"); err != nil || len(ids) != 7 || ids[0] != 'a' || tok.Decode(ids) != "abc é\n" {
			t.Errorf("%s: %v %v", format, ids, err)
		}
	}
}

func TestEnsureWritesOnce(t *testing.T) {
	s := Shape{Name: "x", Hidden: 16, FFN: 16, Layers: 1, Heads: 1, KVHeads: 1, HeadDim: 16, Vocab: 256, Positions: 64}
	dir := filepath.Join(t.TempDir(), "x")
	if _, err := Ensure(dir, s, "bf16"); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(dir, s, "bf16"); err != nil {
		t.Fatal(err)
	}
	after, _ := os.Stat(filepath.Join(dir, "model.safetensors"))
	if !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Error("a model that is there was written again")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".writing-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestUnknownNames(t *testing.T) {
	if _, err := ShapeByName("gpt9"); err == nil || !strings.Contains(err.Error(), "tinyllama") {
		t.Errorf("%v", err)
	}
	if _, err := Ensure(t.TempDir()+"/x", Shape{}, "int3"); err == nil || !strings.Contains(err.Error(), "bf16") {
		t.Errorf("%v", err)
	}
}
