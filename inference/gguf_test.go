package inference

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llorch/inference/weights"
)

// TestGGUFVocabularyRefused: a vocabulary of the wrong types, or one that does not
// fit the model, is an error that names the key, and nothing is served.
func TestGGUFVocabularyRefused(t *testing.T) {
	for _, c := range []struct {
		key    string
		value  any
		reason string
	}{
		{"model", uint32(1), "type u32 where a string"},
		{"model", "bert", ""},
		{"tokens", nil, "the file has no tokenizer"},
		{"tokens", []string{}, "the file has no tokenizer"},
		{"tokens", "abc", "type string where an array of strings"},
		{"tokens", []string{"a", "b"}, ""}, // token_type has more
		{"scores", []uint8{1, 2, 3}, "an array of 3 u8 where an array of f32"},
		{"token_type", []float32{1}, "where an array of integers"},
		{"token_type", []int64{1 << 40}, "is no type of a token"},
		{"token_type", []int32{1}, ""},
		{"merges", []int32{1}, "where an array of strings"},
		{"merges", []string{"no such"}, ""},
		{"bos_token_id", float32(1), "type f32 where an integer"},
		{"bos_token_id", uint32(1 << 30), ""},
		{"unknown_token_id", int64(-5), "-5 is no token id"},
		{"padding_token_id", uint32(1 << 31), "is no token id"},
		{"add_bos_token", uint8(1), "type u8 where a bool"},
	} {
		path := withKey(t, "testdata/llama-gqa", "tokenizer.ggml."+c.key, c.value)
		ins, err := Inspect(path)
		if err == nil {
			ins.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.key) || !strings.Contains(err.Error(), c.reason) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v: %v, want %s", c.key, c.value, err, c.reason)
		}
	}
}

// withKey is the model in dir as a GGUF file with one key changed, or left out.
func withKey(t *testing.T, dir, key string, value any) string {
	t.Helper()
	s, err := weights.Open(asGGUF(t, dir, "f32"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	path := filepath.Join(t.TempDir(), "changed.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	var pairs []weights.Pair
	for _, k := range s.Meta.Keys() {
		if k != key {
			pairs = append(pairs, weights.Pair{Key: k, Value: valueOf(t, s.Meta, k)})
		}
	}
	if value != nil {
		pairs = append(pairs, weights.Pair{Key: key, Value: value})
	}
	var specs []weights.Spec
	for _, n := range s.Names() {
		x, _ := s.Tensor(n)
		specs = append(specs, weights.Spec{Name: n, Type: x.Type, Shape: x.Shape})
	}
	err = weights.WriteGGUF(f, pairs, specs, func(i int, w io.Writer) error {
		x, _ := s.Tensor(specs[i].Name)
		_, err := io.Copy(w, io.NewSectionReader(tensorReader{s, x}, 0, x.Bytes))
		return err
	})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

type tensorReader struct {
	s *weights.Source
	x *weights.Tensor
}

func (r tensorReader) ReadAt(p []byte, off int64) (int, error) {
	return len(p), r.s.ReadTensor(r.x, p, off)
}

// valueOf reads a key in the first type that fits.
func valueOf(t *testing.T, m *weights.Metadata, key string) any {
	t.Helper()
	if v, err := m.Int(key); err == nil {
		return v
	}
	if v, err := m.Float(key); err == nil {
		return v
	}
	if v, err := m.Bool(key); err == nil {
		return v
	}
	if v, err := m.Text(key); err == nil {
		return v
	}
	if v, err := m.Ints(key); err == nil {
		return v
	}
	if v, err := m.Float32s(key); err == nil {
		return v
	}
	v, err := m.Texts(key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestGGUFUnknownArchitecture lists what is supported.
func TestGGUFUnknownArchitecture(t *testing.T) {
	_, err := Inspect(withKey(t, "testdata/llama-gqa", "general.architecture", "gpt-oss"))
	if err == nil || !strings.Contains(err.Error(), `"gpt-oss" is not supported; supported: llama, phi3, qwen2, qwen3`) {
		t.Error(err)
	}
}

func TestWriteGGUFRefused(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "m.gguf")
	gguf := asGGUF(t, "testdata/llama-gqa", "f32")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx             context.Context
		in, out, format string
		reason          string
	}{
		{t.Context(), "testdata/llama-gqa", out, "q9", "not one of f32"},
		{t.Context(), "testdata/none", out, "f32", "no such file"},
		{t.Context(), gguf, out, "f32", "a GGUF file already"},
		{t.Context(), "testdata/llama-gqa", gguf, "f32", "is there already"},
		{t.Context(), "testdata/llama-gqa", filepath.Join(dir, "none", "m.gguf"), "f32", "no such file"},
		{t.Context(), "testdata/llama-rope-yarn-parameters", out, "f32", "GGUF has no key for a yarn scaling"},
		{cancelled, "testdata/llama-gqa", out, "f32", "context canceled"},
	} {
		if _, err := WriteGGUF(c.ctx, c.in, c.out, c.format, false, nil); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s to %s as %s: %v, want %s", c.in, c.out, c.format, err, c.reason)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	var told int64
	if _, err := WriteGGUF(t.Context(), "testdata/llama-gqa", gguf, "q8_0", true, func(done, total int64) { told = total - done }); err != nil || told != 0 {
		t.Errorf("%v, %d bytes not told of", err, told)
	}
}

// TestGGUFQuant is the file's own word for its mixture, unless no tensor bears it out.
func TestGGUFQuant(t *testing.T) {
	for format, want := range map[string]string{"f32": "F32", "q8_0": "Q8_0", "q4_0": "Q4_0", "q4_k_m": "Q4_K_M"} {
		ins, err := Inspect(asGGUF(t, demoModel, format))
		if err != nil {
			t.Fatal(err)
		}
		if got := ins.Quant(); got != want {
			t.Errorf("%s: %s", format, got)
		}
		ins.Close()
	}
	ins, err := Inspect(withKey(t, "testdata/llama-gqa", "general.file_type", uint32(15)))
	if err != nil || ins.Quant() != "F32" {
		t.Errorf("a file of F32 that says Q4_K_M: %v", err)
	}
	ins.Close()
}
