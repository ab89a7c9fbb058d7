package manifest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llorch/inference/tensor"
	"llorch/inference/weights"
)

// folder writes a model of two tensors and what lies beside them.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	specs := []weights.Spec{{Name: "a", Type: tensor.F32, Shape: []int{100}}, {Name: "b", Type: tensor.BF16, Shape: []int{7}}}
	err = weights.WriteSafeTensors(f, specs, func(i int, w io.Writer) error {
		n, _ := specs[i].Bytes()
		_, err := w.Write(make([]byte, n))
		return err
	})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	save(t, dir, "config.json", "{}")
	save(t, dir, "tokenizer.json", `{"added_tokens":[]}`)
	return dir
}

func save(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// compute returns the manifest of the folder as it is, and compares it with the
// stored one, if that is given.
func compute(t *testing.T, dir string, stored *Manifest) (*Manifest, error) {
	t.Helper()
	s, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Map(); err != nil {
		t.Fatal(err)
	}
	x := s.Examine(t.Context(), weights.Checks{SHA256: true})
	defer x.Stop()
	if err := s.Populate(t.Context(), x, nil); err != nil {
		t.Fatal(err)
	}
	sums, err := x.Result()
	if err != nil {
		t.Fatal(err)
	}
	m, err := Of(s, sums, true)
	if err != nil {
		t.Fatal(err)
	}
	if stored != nil {
		return m, Compare(t.Context(), s, m, stored, true)
	}
	return m, m.AddParts(context.WithoutCancel(t.Context()), s)
}

// written makes a folder with its manifest, as it is read back.
func written(t *testing.T) (string, *Manifest) {
	t.Helper()
	dir := folder(t)
	m, err := compute(t, dir, nil)
	if err == nil {
		err = m.Write(filepath.Join(dir, Name), false)
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err = Read(filepath.Join(dir, Name))
	if err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func TestManifestFits(t *testing.T) {
	dir, m := written(t)
	got, err := compute(t, dir, m)
	if err != nil || got.Digest != m.Digest || len(m.Files) != 3 {
		t.Errorf("%v: %+v", err, m)
	}
	elsewhere, err := compute(t, folder(t), nil)
	if err != nil || elsewhere.Digest != m.Digest {
		t.Errorf("the same files in another folder: %s, want %s (%v)", elsewhere.Digest, m.Digest, err)
	}
}

// Whichever bit of a weight file's tensors flips, file, tensor and bytes are
// named; in any other covered file, the file.
func TestOneBit(t *testing.T) {
	dir, m := written(t)
	f, _ := m.file("model.safetensors")
	for _, p := range f.Parts[1:] {
		for _, at := range []int64{p.Offset, p.Offset + p.Bytes - 1} {
			flip(t, filepath.Join(dir, f.Name), at)
			var d *Difference
			if _, err := compute(t, dir, m); !errors.As(err, &d) || d.Tensor != p.Tensor || d.From != p.Offset || d.To != p.Offset+p.Bytes ||
				filepath.Base(d.File) != f.Name {
				t.Errorf("byte %d: %v", at, err)
			}
			flip(t, filepath.Join(dir, f.Name), at)
		}
	}
	for _, name := range []string{"config.json", "tokenizer.json"} {
		flip(t, filepath.Join(dir, name), 1)
		var d *Difference
		if _, err := compute(t, dir, m); !errors.As(err, &d) || filepath.Base(d.File) != name {
			t.Errorf("%s: %v", name, err)
		}
		flip(t, filepath.Join(dir, name), 1)
	}
	if _, err := compute(t, dir, m); err != nil {
		t.Errorf("after all bits are back: %v", err)
	}
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[at] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(dir string, m *Manifest)
	}{
		{"a file more", "chat_template.jinja: it is not in the manifest", func(dir string, _ *Manifest) { save(t, dir, "chat_template.jinja", "x") }},
		{"a file less", "config.json: the manifest lists it", func(dir string, _ *Manifest) { os.Remove(filepath.Join(dir, "config.json")) }},
		{"longer", "tokenizer.json: 1 bytes long, and 19 in the manifest", func(dir string, _ *Manifest) { save(t, dir, "tokenizer.json", "x") }},
		{"no SHA-256", "no SHA-256", func(_ string, m *Manifest) { m.Files[0].SHA256 = "" }},
		{"another SHA-256", "digest sha256 ", func(_ string, m *Manifest) { m.Files[1].SHA256 = strings.Repeat("0", 64) }},
		{"other tensors", "the header describes other tensors", func(_ string, m *Manifest) { m.Files[1].XXH3, m.Files[1].Parts[1].Tensor = "", "c" }},
		{"no parts", "digest xxh3 ", func(_ string, m *Manifest) { m.Files[1].XXH3, m.Files[1].Parts = "", nil }},
		{"two tensors", "the first of 2 parts", func(_ string, m *Manifest) { f := &m.Files[1]; f.XXH3, f.Parts[1].XXH3, f.Parts[2].XXH3 = "", "", "" }},
	} {
		dir, m := written(t)
		c.change(dir, m)
		if _, err := compute(t, dir, m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	dir, m := written(t)
	text, err := os.ReadFile(filepath.Join(dir, Name))
	if err != nil {
		t.Fatal(err)
	}
	whole := string(text)
	for name, c := range map[string][2]string{
		"no JSON":         {"{", "unexpected EOF"},
		"empty":           {"", "EOF"},
		"another version": {strings.Replace(whole, `"version": 1`, `"version": 2`, 1), "version 2"},
		"newer fields":    {`{"version":2,"new":1}`, "version 2"},
		"unknown field":   {strings.Replace(whole, `"version": 1`, `"version": 1, "x": 0`, 1), "unknown field"},
		"edited":          {strings.Replace(whole, m.Files[0].XXH3, strings.Repeat("0", 32), 1), "not that of its files"},
		"text behind":     {whole + "{}", "text behind"},
		"twice":           {`{"version":1,"digest":"","files":[{"name":"a"},{"name":"a"}]}`, "there twice"},
	} {
		save(t, dir, Name, c[0])
		if _, err := Read(filepath.Join(dir, Name)); err == nil || !strings.Contains(err.Error(), c[1]) || !strings.Contains(err.Error(), Name) {
			t.Errorf("%s: %v, want %q", name, err, c[1])
		}
	}
	if err := os.Remove(filepath.Join(dir, Name)); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(filepath.Join(dir, Name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}

func TestWrite(t *testing.T) {
	dir, m := written(t)
	if err := m.Write(filepath.Join(dir, Name), false); err != nil {
		t.Errorf("the same once more: %v", err)
	}
	save(t, dir, Name, "mine")
	if err := m.Write(filepath.Join(dir, Name), false); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("another one is there: %v", err)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, Name)); string(text) != "mine" {
		t.Error("it was replaced all the same")
	}
	if err := m.Write(filepath.Join(dir, Name), true); err != nil {
		t.Error(err)
	}
	if _, err := Read(filepath.Join(dir, Name)); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".manifest-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Whatever a manifest holds, it is refused by name or compares without a panic.
func FuzzParse(f *testing.F) {
	whole := `{"version":1,"digest":"","files":[{"name":"a","bytes":1,"xxh3":"0","parts":[{"tensor":"","offset":0,"bytes":1,"xxh3":"0"}]}]}`
	m := &Manifest{Files: []File{{Name: "a", XXH3: "0"}}}
	for _, seed := range []string{"", "{}", "null", "[]", whole, strings.Replace(whole, `"digest":""`, `"digest":"`+m.digest()+`"`, 1), `{"version":2}`} {
		f.Add([]byte(seed))
	}
	got := []weights.Part{{Bytes: 1, XXH3: "1"}, {Tensor: "t", Offset: 1, Bytes: 2}}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parse("m.json", text)
		if err != nil {
			if !strings.Contains(err.Error(), "m.json") {
				t.Errorf("%v names no file", err)
			}
			return
		}
		for _, file := range m.Files {
			if d := firstDifference(got, file.Parts); d != nil && d.Reason == "" {
				t.Error("a difference without a reason")
			}
		}
		if m.Version != version || m.Digest != m.digest() {
			t.Errorf("%+v passed", m)
		}
	})
}

// TestManifestOfGGUF: it lies beside the file and speaks of it alone: other models
// of the folder, and files for other containers, are none of its affair.
func TestManifestOfGGUF(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.gguf", "b.gguf"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err == nil {
			err = weights.WriteGGUF(f, []weights.Pair{{Key: "general.name", Value: name}}, nil, nil)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := weights.Open(filepath.Join(dir, "a.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if want := filepath.Join(dir, "a.gguf."+Name); Path(s) != want {
		t.Errorf("%s, want %s", Path(s), want)
	}
	m, err := Of(s, []weights.Sums{{XXH3: "0"}}, false)
	if err != nil || len(m.Files) != 1 || m.Files[0].Name != "a.gguf" {
		t.Errorf("%+v %v", m, err)
	}
	if err := m.Write(Path(s), false); err != nil {
		t.Fatal(err)
	}
	if stored, err := Read(Path(s)); err != nil || stored.Digest != m.Digest {
		t.Errorf("%+v %v", stored, err)
	}
}
