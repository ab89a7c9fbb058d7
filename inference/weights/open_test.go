package weights

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOpenRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		make   func(t *testing.T, dir string) string // returns what to open
		file   string                                // in dir, "" for dir itself
		reason string
		is     error
	}{
		{"nothing there", func(t *testing.T, dir string) string { return filepath.Join(dir, "x") }, "x", "no such file", fs.ErrNotExist},
		{"empty folder", func(t *testing.T, dir string) string { return dir }, "", "no weights here", fs.ErrNotExist},
		{"empty path", func(t *testing.T, dir string) string { return "" }, "-", "no such file", fs.ErrNotExist},
		{"GGUF file", func(t *testing.T, dir string) string { return save(t, dir, "m.gguf", []byte("GGUF")) }, "m.gguf", "the file ends inside the 24 bytes", nil},
		{"GGUF folder", func(t *testing.T, dir string) string { save(t, dir, "m.GGUF", []byte("GGUF")); return dir }, "m.GGUF", "the file ends inside the 24 bytes", nil},
		{"folder of several GGUF models", func(t *testing.T, dir string) string {
			save(t, dir, "a.gguf", []byte("GGUF"))
			save(t, dir, "b.gguf", []byte("GGUF"))
			return dir
		}, "", "2 models (a.gguf …)", nil},
		{"pickle file", func(t *testing.T, dir string) string { return save(t, dir, "pytorch_model.bin", nil) }, "pytorch_model.bin", "can run any program", ErrUnsupported},
		{"pickle folder", func(t *testing.T, dir string) string { save(t, dir, "consolidated.00.pth", nil); return dir }, "consolidated.00.pth", "can run any program", ErrUnsupported},
		{"another file", func(t *testing.T, dir string) string { return save(t, dir, "README.md", nil) }, "README.md", "neither a model folder", ErrUnsupported},
		{"named pipe", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, singleName)
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Skip(err)
			}
			return path
		}, singleName, "a named pipe", nil},
		{"named pipe in the folder", func(t *testing.T, dir string) string {
			if err := syscall.Mkfifo(filepath.Join(dir, singleName), 0o600); err != nil {
				t.Skip(err)
			}
			return dir
		}, singleName, "a named pipe", nil},
		{"index is a named pipe", func(t *testing.T, dir string) string {
			if err := syscall.Mkfifo(filepath.Join(dir, indexName), 0o600); err != nil {
				t.Skip(err)
			}
			return dir
		}, indexName, "a named pipe", nil},
		{"device", func(t *testing.T, dir string) string {
			if err := os.Symlink("/dev/zero", filepath.Join(dir, singleName)); err != nil {
				t.Skip(err)
			}
			return dir
		}, singleName, "a device", nil},
		{"socket", func(t *testing.T, dir string) string {
			t.Chdir(dir) // a socket's path is short
			l, err := net.Listen("unix", singleName)
			if err != nil {
				t.Skip(err)
			}
			t.Cleanup(func() { l.Close() })
			return filepath.Join(dir, singleName)
		}, singleName, "a socket", nil},
		{"link to itself", func(t *testing.T, dir string) string {
			link(t, singleName, filepath.Join(dir, singleName))
			return dir
		}, singleName, "leads back to itself", syscall.ELOOP},
		{"links in a ring", func(t *testing.T, dir string) string {
			link(t, "b", filepath.Join(dir, singleName))
			link(t, singleName, filepath.Join(dir, "b"))
			return filepath.Join(dir, singleName)
		}, singleName, "leads back to itself", syscall.ELOOP},
		{"link to nowhere", func(t *testing.T, dir string) string {
			link(t, "../blobs/gone", filepath.Join(dir, singleName))
			return dir
		}, singleName, "no such file", fs.ErrNotExist},
		{"folder named like a file", func(t *testing.T, dir string) string {
			if err := os.Mkdir(filepath.Join(dir, singleName), 0o700); err != nil {
				t.Fatal(err)
			}
			return dir
		}, singleName, "a folder where a file belongs", nil},
		{"one shard without an index", func(t *testing.T, dir string) string { return save(t, dir, shard1, shard("a")) }, shard1, "one of 2 shards", nil},
		{"folder of shards without an index", func(t *testing.T, dir string) string {
			save(t, dir, shard1, shard("a"))
			save(t, dir, shard2, shard("b"))
			return dir
		}, "", "2 .safetensors files", nil},
		{"one shard alone in a folder", func(t *testing.T, dir string) string { save(t, dir, shard1, shard("a")); return dir }, "", "download may be incomplete", nil},
		{"shard the index does not list", func(t *testing.T, dir string) string {
			save(t, dir, indexName, []byte(goodAB))
			return save(t, dir, "model-00001-of-00003.safetensors", shard("a"))
		}, "model-00001-of-00003.safetensors", "one of 3 shards", nil},
		{"two files to choose from", func(t *testing.T, dir string) string {
			save(t, dir, "a.safetensors", shard("a"))
			save(t, dir, "b.safetensors", shard("b"))
			return dir
		}, "", "2 .safetensors files", nil},
		{"shard beside a malformed index", func(t *testing.T, dir string) string {
			save(t, dir, indexName, []byte("{"))
			return save(t, dir, shard1, shard("a"))
		}, indexName, "ends", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := c.make(t, dir)
			done := make(chan error, 1)
			go func() {
				s, err := Open(path)
				if err == nil {
					s.Close()
				}
				done <- err
			}()
			var err error
			select {
			case err = <-done:
			case <-time.After(10 * time.Second):
				t.Fatal("Open blocks")
			}
			want := filepath.Join(dir, c.file)
			if c.file == "-" {
				want = ""
			}
			refused(t, err, want, "", any64, c.reason)
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
		})
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Skip(err)
	}
}

func TestOpenAccepted(t *testing.T) {
	for _, c := range []struct {
		name     string
		make     func(t *testing.T, dir string) string
		names    string
		warnings int
	}{
		{"folder", func(t *testing.T, dir string) string { save(t, dir, singleName, shard("a")); return dir }, "a", 0},
		{"file", func(t *testing.T, dir string) string { return save(t, dir, "x.safetensors", shard("a")) }, "a", 0},
		{"file beside others", func(t *testing.T, dir string) string {
			save(t, dir, "y.safetensors", shard("b"))
			return save(t, dir, "x.safetensors", shard("a"))
		}, "a", 0},
		{"the only file of a folder", func(t *testing.T, dir string) string {
			save(t, dir, "pytorch_model.bin", nil)
			save(t, dir, "x.safetensors", shard("a"))
			return dir
		}, "a", 0},
		{"shard 1 of 1", func(t *testing.T, dir string) string {
			return save(t, dir, "model-00001-of-00001.safetensors", shard("a"))
		}, "a", 0},
		{"single file and index", func(t *testing.T, _ string) string {
			dir := sharded(t, goodAB)
			save(t, dir, singleName, shard("z"))
			return dir
		}, "z", 1},
		{"index of the single file", func(t *testing.T, dir string) string {
			save(t, dir, singleName, shard("z"))
			save(t, dir, indexName, []byte(`{"weight_map":{"z":"model.safetensors"}}`))
			return dir
		}, "z", 0},
		{"file the index does not list", func(t *testing.T, dir string) string {
			return save(t, sharded(t, goodAB), "adapter.safetensors", shard("z"))
		}, "z", 0},
		{"download cache of links", func(t *testing.T, dir string) string {
			snapshot := filepath.Join(dir, "snapshots", "1234")
			blobs := filepath.Join(dir, "blobs")
			if err := errors.Join(os.MkdirAll(snapshot, 0o700), os.Mkdir(blobs, 0o700)); err != nil {
				t.Fatal(err)
			}
			for name, data := range map[string][]byte{shard1: shard("a", "b"), shard2: shard("c"), indexName: []byte(goodAB)} {
				save(t, blobs, name+"-blob", data)
				link(t, filepath.Join("..", "..", "blobs", name+"-blob"), filepath.Join(snapshot, name))
			}
			return filepath.Join(snapshot, shard1)
		}, "abc", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(c.make(t, t.TempDir()))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if got := strings.Join(s.Names(), ""); got != c.names || len(s.Warnings) != c.warnings {
				t.Errorf("tensors %s, warnings %q", got, s.Warnings)
			}
		})
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := save(t, dir, "config.json", []byte("12345"))
	if got, err := ReadFile(path, 5); string(got) != "12345" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	_, err := ReadFile(path, 4)
	refused(t, err, path, "", -1, "5 bytes long; at most 4")
	if _, err = ReadFile(filepath.Join(dir, "x"), 4); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
