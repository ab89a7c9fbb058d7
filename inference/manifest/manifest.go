package manifest

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/zeebo/xxh3"

	"llorch/inference/weights"
)

// Name is the manifest's own, in the model's folder. That of a GGUF model is named
// after its file: one folder may hold several.
const Name = "llorch.manifest.json"

// Path is where the manifest of a model lies.
func Path(s *weights.Source) string {
	if s.Meta != nil {
		return s.Files[0].Path + "." + Name
	}
	return filepath.Join(s.Dir, Name)
}

const (
	version  = 1
	maxBytes = 64 << 20  // of a manifest: 131072 tensors with long names
	maxAside = 128 << 20 // of a file beside the weights: above what the loaders of these files take
)

// aside are the files that, where they exist, a load reads beside the weights,
// or that tools hand on with a model and that change its text.
var aside = []string{
	"chat_template.jinja", "config.json", "generation_config.json", "model.safetensors.index.json", "special_tokens_map.json",
	"tokenizer.json", "tokenizer.model", "tokenizer_config.json",
}

// Manifest is the digests of one model's files, sorted by name.
type Manifest struct {
	Version int    `json:"version"`
	Digest  string `json:"digest"` // of the model: "xxh3:…"
	Files   []File `json:"files"`
}

// File is one file. Its parts are those of a weight file.
type File struct {
	Name   string `json:"name"` // in the model's folder
	Bytes  int64  `json:"bytes"`
	XXH3   string `json:"xxh3"` // XXH3-128, as `xxhsum -H2` prints it
	SHA256 string `json:"sha256,omitempty"`
	Parts  []Part `json:"parts,omitempty"`
}

// Part is a tensor, or with an empty name the header.
type Part struct {
	Tensor string `json:"tensor"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
	XXH3   string `json:"xxh3"`
}

// Of makes the manifest of what was computed: sums are those of s.Files. The
// files beside them are read here. withSHA256 keeps that digest of all.
func Of(s *weights.Source, sums []weights.Sums, withSHA256 bool) (*Manifest, error) {
	m := &Manifest{Version: version}
	for i := range s.Files {
		m.add(nameOf(s, i), s.Files[i].Size, sums[i], withSHA256)
	}
	beside := aside
	if s.Meta != nil {
		beside = nil // a GGUF file has all in it
	}
	for _, name := range beside {
		sum, size, err := weights.SumFile(filepath.Join(s.Dir, name), maxAside)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
		m.add(name, size, sum, withSHA256)
	}
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	m.Digest = m.digest()
	return m, nil
}

func (m *Manifest) add(name string, size int64, s weights.Sums, withSHA256 bool) {
	f := File{Name: name, Bytes: size, XXH3: s.XXH3}
	if withSHA256 {
		f.SHA256 = s.SHA256
	}
	m.Files = append(m.Files, f)
}

// nameOf is how the manifest calls a weight file: by its place in the folder.
func nameOf(s *weights.Source, file int) string {
	name, err := filepath.Rel(s.Dir, s.Files[file].Path)
	if err != nil {
		return filepath.Base(s.Files[file].Path)
	}
	return filepath.ToSlash(name)
}

// digest is that of the names and digests of all files.
func (m *Manifest) digest() string {
	h := xxh3.New128()
	for _, f := range m.Files {
		fmt.Fprintf(h, "%s\x00%s\n", f.Name, f.XXH3)
	}
	sum := h.Sum128().Bytes()
	return "xxh3:" + hex.EncodeToString(sum[:])
}

func (m *Manifest) file(name string) (*File, bool) {
	i := slices.IndexFunc(m.Files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return nil, false
	}
	return &m.Files[i], true
}

// Read returns the manifest at path; the error wraps fs.ErrNotExist where there is
// none.
func Read(path string) (*Manifest, error) {
	text, err := weights.ReadFile(path, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return parse(path, text)
}

func parse(path string, text []byte) (*Manifest, error) {
	m := &Manifest{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err == nil {
		if _, err = d.Token(); err != io.EOF {
			return nil, malformed(path, "there is text behind it")
		}
	} else if m.Version == 0 || m.Version == version {
		return nil, malformed(path, err.Error())
	}
	if m.Version != version {
		return nil, malformed(path, fmt.Sprintf("version %d; this program knows version %d", m.Version, version))
	}
	if !slices.IsSortedFunc(m.Files, func(a, b File) int { return cmp.Or(cmp.Compare(a.Name, b.Name), -1) }) {
		return nil, malformed(path, "the files are not sorted by name, or one is there twice")
	}
	if m.Digest != m.digest() {
		return nil, malformed(path, "its digest is not that of its files: it was edited or damaged")
	}
	return m, nil
}

func malformed(path, reason string) error {
	return fmt.Errorf("manifest: %s: %s; write it again with `verify --write --force`", path, reason)
}

// Write writes the manifest to path, in one step. It refuses to replace one that
// is not the same, unless force is set.
func (m *Manifest) Write(path string, force bool) error {
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	text = append(text, '\n')
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	} else if err == nil && !force {
		return fmt.Errorf("manifest: %s is there and says otherwise; replace it with --force if the files are as they should be", path)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".manifest-")
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	return nil
}
