package e2e

import (
	"os"
	"strings"
	"testing"
)

// TestQuantize writes a GGUF file and answers from it, as from the same model
// quantised while it is loaded.
func TestQuantize(t *testing.T) {
	file := t.TempDir() + "/tales-q8_0.gguf"
	status, out, err := command(t, "", "quantize", model, file, "--format", "q8_0")
	if status != 0 || !strings.Contains(out, "Q8_0") {
		t.Fatalf("status %d %s %s", status, out, err)
	}
	if status, out, err := command(t, "", "inspect", file); status != 0 || !strings.Contains(out, "Q8_0") || !strings.Contains(out, "gguf-bpe") {
		t.Errorf("inspect: status %d %s %s", status, out, err)
	}
	// The plain device rounds no activations: both must say the same there.
	say := []string{"generate", "--backend", "ref", "--max-tokens", "24", "--temperature", "0", "Once upon a time", "--model"}
	status, stored, err := command(t, "", append(say[:len(say):len(say)], file)...)
	if status != 0 || strings.TrimSpace(stored) == "" {
		t.Fatalf("generate: status %d %s", status, err)
	}
	if status, now, err := command(t, "", append(say[:len(say):len(say)], model, "--quantize", "q8_0")...); status != 0 || now != stored {
		t.Errorf("quantised while loading: status %d %q %s, from the file %q", status, now, err, stored)
	}
}

func TestQuantizeRefuses(t *testing.T) {
	file := t.TempDir() + "/m.gguf"
	if err := os.WriteFile(file, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status int
		reason string
		args   []string
	}{
		{1, "give --force", []string{model, file}},
		{1, "no-model", []string{t.TempDir() + "/no-model", file, "--force"}},
		{2, "want one of", []string{model, file, "--format", "q3"}},
		{2, "takes a model and the file to write", []string{model}},
	} {
		if status, out, err := command(t, "", append([]string{"quantize"}, c.args...)...); status != c.status || !strings.Contains(err, c.reason) || out != "" {
			t.Errorf("%q: status %d %s %s", c.args, status, out, err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("what was there is %q %v", text, err)
	}
	if status, _, err := command(t, "", "generate", "--model", model, "--quantize", "q3", "hi"); status != 2 || !strings.Contains(err, "q4_k_m") {
		t.Errorf("status %d %s", status, err)
	}
}
