package inference

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTokenizerBesideWeights: what is wrong with a tokenizer that is read beside the
// weights is what Load says, however often it is asked for; a good one is there when
// Load has returned.
func TestTokenizerBesideWeights(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/llama-mha")); err != nil {
		t.Fatal(err)
	}
	ins, err := Begin(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Load(t.Context(), ins, Options{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	if i := e.Info(); i.TokenizerKind != "hf-json" || i.TokenizerVocab != i.Vocab {
		t.Errorf("kind %q, %d tokens of %d", i.TokenizerKind, i.TokenizerVocab, i.Vocab)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}

	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(`{"model":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if ins, err = Begin(dir); err != nil {
		t.Fatal(err)
	}
	e, err = Load(t.Context(), ins, Options{Device: "cpu"})
	if err == nil || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Fatalf("%v, want what is wrong with tokenizer.json", err)
	}
	if again := ins.Await(); again == nil || !errors.Is(err, again) {
		t.Errorf("Await: %v after %v", again, err)
	}
	if e != nil {
		t.Error("an engine all the same")
	}
}
