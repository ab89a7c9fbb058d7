package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llorch/inference/tensor"
)

// part is file no of count of a model of total tensors; it holds those named.
func part(t *testing.T, no, count, total int, more []Pair, names ...string) []byte {
	pairs := append([]Pair{{splitNo, uint16(no)}, {splitTensors, int32(total)}, {splitCount, uint16(count)}}, more...)
	var specs []Spec
	for _, n := range names {
		specs = append(specs, Spec{n, tensor.F32, []int{4}})
	}
	return written(t, pairs, specs...)
}

func shardNamed(i, count int) string { return fmt.Sprintf("m-%05d-of-%05d.gguf", i, count) }

// splitModel writes a model of three files.
func splitModel(t *testing.T, dir string) {
	t.Helper()
	for i, names := range [][]string{{"a", "b"}, {"c"}, {"d", "e"}} {
		var more []Pair
		if i == 0 {
			more = []Pair{{archKey, "llama"}, {"x", uint32(7)}}
		}
		save(t, dir, shardNamed(i+1, 3), part(t, i, 3, 5, more, names...))
	}
}

// TestGGUFSplit: any part opens all; the metadata are those of the first.
func TestGGUFSplit(t *testing.T) {
	dir := t.TempDir()
	splitModel(t, dir)
	for _, path := range []string{shardNamed(1, 3), shardNamed(2, 3), shardNamed(3, 3), ""} {
		before := descriptors()
		s, err := Open(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Map(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.Names(), ""); got != "abcde" || len(s.Files) != 3 || s.Bytes() != 80 {
			t.Errorf("tensors %s, files %v", got, s.Files)
		}
		if x, _ := s.Tensor("c"); x.File != 1 {
			t.Errorf("%+v", x)
		}
		if v, err := s.Meta.Int("x"); v != 7 || err != nil {
			t.Errorf("x is %d %v", v, err)
		}
		s.Close()
		if after := descriptors(); after != before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	}
}

func TestGGUFSplitRefused(t *testing.T) {
	first := []Pair{{archKey, "llama"}}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string) // of the model of three
		open   string
		file   string
		reason string
		is     error
	}{
		{"part missing", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, shardNamed(2, 3))) }, shardNamed(1, 3), shardNamed(2, 3), "file 2 of the 3", fs.ErrNotExist},
		{"first missing", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, shardNamed(1, 3))) }, shardNamed(3, 3), shardNamed(1, 3), "file 1 of the 3", fs.ErrNotExist},
		{"parts swapped", func(t *testing.T, dir string) {
			save(t, dir, shardNamed(2, 3), part(t, 2, 3, 5, nil, "d", "e"))
			save(t, dir, shardNamed(3, 3), part(t, 1, 3, 5, nil, "c"))
		}, shardNamed(1, 3), shardNamed(2, 3), "2 in the file that is named as number 1 from 0", nil},
		{"part twice", func(t *testing.T, dir string) { save(t, dir, shardNamed(3, 3), part(t, 1, 3, 5, nil, "c")) }, shardNamed(1, 3), shardNamed(3, 3), "mixed up", nil},
		{"tensor in two parts", func(t *testing.T, dir string) { save(t, dir, shardNamed(3, 3), part(t, 2, 3, 5, nil, "a", "e")) }, shardNamed(1, 3), shardNamed(3, 3), "it is in ", nil},
		{"part of a model of more tensors", func(t *testing.T, dir string) { save(t, dir, shardNamed(3, 3), part(t, 2, 3, 9, nil, "d", "e")) }, shardNamed(1, 3), shardNamed(3, 3), "9, and 5 in the first file: a part of another model", nil},
		{"part of another architecture", func(t *testing.T, dir string) {
			save(t, dir, shardNamed(3, 3), part(t, 2, 3, 5, []Pair{{archKey, "qwen2"}}, "d", "e"))
		}, shardNamed(1, 3), shardNamed(3, 3), `"qwen2", and "llama" in the first file`, nil},
		{"part of another count", func(t *testing.T, dir string) { save(t, dir, shardNamed(3, 3), part(t, 2, 4, 5, nil, "d", "e")) }, shardNamed(1, 3), shardNamed(3, 3), "4, and the model has 3 files", nil},
		{"part with too few tensors", func(t *testing.T, dir string) { save(t, dir, shardNamed(3, 3), part(t, 2, 3, 5, nil, "d")) }, shardNamed(1, 3), shardNamed(1, 3), "5, and the files hold 4", nil},
		{"part that is no part", func(t *testing.T, dir string) { save(t, dir, shardNamed(3, 3), written(t, first)) }, shardNamed(1, 3), shardNamed(3, 3), "missing", nil},
		{"part cut short", func(t *testing.T, dir string) {
			save(t, dir, shardNamed(3, 3), part(t, 2, 3, 5, nil, "d", "e")[:230])
		}, shardNamed(1, 3), shardNamed(3, 3), "end beyond", nil},
		{"renamed", func(t *testing.T, dir string) { save(t, dir, "x.gguf", part(t, 0, 3, 5, first, "a", "b")) }, "x.gguf", "x.gguf", "not named as they are", nil},
		{"count of the name", func(t *testing.T, dir string) { save(t, dir, shardNamed(1, 4), part(t, 0, 3, 5, first, "a", "b")) }, shardNamed(1, 4), shardNamed(1, 4), "one of 3 files of a model by its split.count, and one of 4", nil},
		{"count 0", func(t *testing.T, dir string) { save(t, dir, "x.gguf", part(t, 0, 0, 5, first)) }, "x.gguf", "x.gguf", "0 files; a model has 1", nil},
		{"count 65535", func(t *testing.T, dir string) { save(t, dir, shardNamed(1, 65535), part(t, 0, 65535, 5, first)) }, shardNamed(1, 65535), shardNamed(1, 65535), "65535 files; a model has 1", nil},
		{"count a string", func(t *testing.T, dir string) { save(t, dir, "x.gguf", written(t, []Pair{{splitCount, "3"}})) }, "x.gguf", "x.gguf", "type string where an integer", nil},
		{"number a string", func(t *testing.T, dir string) {
			save(t, dir, shardNamed(2, 3), written(t, []Pair{{splitNo, "1"}, {splitCount, uint16(3)}}))
		}, shardNamed(1, 3), shardNamed(2, 3), "type string where an integer", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			splitModel(t, dir)
			c.change(t, dir)
			before := descriptors()
			s, err := Open(filepath.Join(dir, c.open))
			if err == nil {
				s.Close()
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("no *Error: %v", err)
			}
			if e.File != filepath.Join(dir, c.file) || !strings.Contains(e.Reason, c.reason) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v\nwant %s: …%s…", err, c.file, c.reason)
			}
			if after := descriptors(); after != before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}

// TestGGUFOnlyPart: a model that says it is one of one.
func TestGGUFOnlyPart(t *testing.T) {
	s, err := Open(save(t, t.TempDir(), "x.gguf", part(t, 0, 1, 1, nil, "a")))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
