package inference

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llorch/inference/manifest"
	"llorch/inference/weights"
)

// loaded loads the model and closes it; it returns its digest.
func loaded(t *testing.T, dir string, v Verify) (string, error) {
	t.Helper()
	ins, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Load(t.Context(), ins, Options{Device: "ref", Verify: v})
	if err != nil {
		return "", err
	}
	digest := e.Info().Digest
	return digest, e.Close()
}

// writeManifest writes the manifest of the model as it is.
func writeManifest(t *testing.T, dir string, sha256 bool) *Files {
	t.Helper()
	f, err := VerifyFiles(t.Context(), dir, sha256, true, nil)
	if err == nil {
		err = f.Found.Write(f.Manifest, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// flipBit turns one bit in the middle of a tensor.
func flipBit(t *testing.T, dir, tensor string) {
	t.Helper()
	s, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	x, ok := s.Tensor(tensor)
	if !ok {
		t.Fatalf("no %s among %v", tensor, s.Names())
	}
	f, err := os.OpenFile(s.Files[x.File].Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], x.Offset+x.Bytes/2)
	b[0] ^= 1
	_, werr := f.WriteAt(b[:], x.Offset+x.Bytes/2)
	if err := errors.Join(err, werr, f.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// A load finds one bit that flipped since the manifest was written, and names
// the tensor.
func TestLoadRefusesAFlippedBit(t *testing.T) {
	const sick = "model.layers.0.self_attn.o_proj.weight"
	for _, from := range []string{"testdata/llama-mha", "testdata/llama-sharded", "testdata/llama-bf16"} {
		dir := copyModel(t, from)
		want := writeManifest(t, dir, true).Digest
		for _, v := range []Verify{"", VerifyRequire, VerifySHA256} {
			if got, err := loaded(t, dir, v); err != nil || got != want || !strings.HasPrefix(got, "xxh3:") {
				t.Errorf("%s, %q: digest %s, want %s (%v)", from, v, got, want, err)
			}
		}
		flipBit(t, dir, sick)
		for _, v := range []Verify{"", VerifyAuto, VerifyRequire, VerifySHA256} {
			var d *manifest.Difference
			if _, err := loaded(t, dir, v); !errors.As(err, &d) || d.Tensor != sick {
				t.Errorf("%s, %q: %v", from, v, err)
			}
		}
		if got, err := loaded(t, dir, VerifyOff); err != nil || got != "" {
			t.Errorf("%s, off: digest %q, %v", from, got, err)
		}
	}
}

// An added token is a back door that no weight shows.
func TestLoadRefusesAnotherTokenizer(t *testing.T) {
	dir := copyModel(t, "testdata/llama-mha")
	writeManifest(t, dir, false)
	path := filepath.Join(dir, "tokenizer.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	ins, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Load(t.Context(), ins, Options{Device: "ref", Progress: func(p Progress) { t.Errorf("weights were read first: %+v", p) }})
	if err == nil || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Error(err)
	}
}

func TestLoadAsksForTheManifest(t *testing.T) {
	dir := copyModel(t, "testdata/llama-mha")
	for _, v := range []Verify{VerifyRequire, VerifySHA256} {
		if _, err := loaded(t, dir, v); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "verify --write") {
			t.Errorf("%s without a manifest: %v", v, err)
		}
	}
	if got, err := loaded(t, dir, VerifyAuto); err != nil || got == "" {
		t.Errorf("auto without a manifest: %q %v", got, err)
	}
	writeManifest(t, dir, false)
	if _, err := loaded(t, dir, VerifySHA256); err == nil || !strings.Contains(err.Error(), "--sha256") {
		t.Errorf("sha256 with a manifest that has none: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, manifest.Name), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := loaded(t, dir, VerifyAuto); err == nil || !strings.Contains(err.Error(), manifest.Name) {
		t.Errorf("a broken manifest: %v", err)
	}
}
