package weights

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shard is a file of the named tensors, one float32 each.
func shard(names ...string) []byte {
	var parts []string
	for i, n := range names {
		parts = append(parts, fmt.Sprintf(`%q:{"dtype":"F32","shape":[1],"data_offsets":[%d,%d]}`, n, 4*i, 4*i+4))
	}
	return file(pad("{"+strings.Join(parts, ",")+"}"), 4*len(names))
}

const (
	shard1 = "model-00001-of-00002.safetensors"
	shard2 = "model-00002-of-00002.safetensors"
	goodAB = `{"metadata":{"total_size":12},"weight_map":{"a":"` + shard1 + `","b":"` + shard1 + `","c":"` + shard2 + `"}}`
)

// sharded writes a model of two shards with the given index and returns its
// folder.
func sharded(t testing.TB, index string) string {
	dir := t.TempDir()
	save(t, dir, shard1, shard("a", "b"))
	save(t, dir, shard2, shard("c"))
	save(t, dir, indexName, []byte(index))
	return dir
}

func TestIndexRefused(t *testing.T) {
	to := func(shard string) string { return `{"weight_map":{"a":` + shard + `}}` }
	for _, c := range []struct {
		name, index  string
		file, tensor string // file "" is the index itself
		at           int64
		reason       string
	}{
		{"empty", "", "", "", 0, "ends"},
		{"a list", "[]", "", "", 0, "an array where an object"},
		{"byte order mark", "\uFEFF" + goodAB, "", "", 0, "byte order mark"},
		{"not UTF-8", "{\"weight_map\":{\"\xff\":\"x\"}}", "", "", 16, "UTF-8"},
		{"bytes after", goodAB + "{}", "", "", int64(len(goodAB)), "after the value"},
		{"no weight_map", `{"metadata":{}}`, "", "", 0, "no weight_map"},
		{"empty weight_map", `{"weight_map":{}}`, "", "", 0, "no weight_map"},
		{"weight_map a list", `{"weight_map":["a"]}`, "", "", 14, "an array where an object"},
		{"weight_map twice", `{"weight_map":{"a":"x.safetensors"},"weight_map":{}}`, "", "", 36, "second time"},
		{"Weight_Map", `{"Weight_Map":{"a":"x.safetensors"}}`, "", "", 1, "differs only in case"},
		{"Metadata", `{"Metadata":{},"weight_map":{"a":"` + shard1 + `"}}`, "", "", 1, "differs only in case"},
		{"tensor twice", `{"weight_map":{"a":"` + shard1 + `","\u0061":"` + shard2 + `"}}`, "", "", any64, `"a" for the second time`},
		{"depth bomb", `{"x":` + strings.Repeat("[", 1_000_000), "", "", any64, "deeper than"},
		{"shard a number", to("1"), "", "", 19, "a number where a string"},
		{"shard empty", to(`""`), "", "a", 15, "not the plain name"},
		{"walks up", to(`"../` + shard1 + `"`), "", "a", 15, "not the plain name"},
		{"walks up twice", to(`"x/../../` + shard1 + `"`), "", "a", 15, "not the plain name"},
		{"is up", to(`".."`), "", "a", 15, "not the plain name"},
		{"absolute", to(`"/etc/` + shard1 + `"`), "", "a", 15, "not the plain name"},
		{"in a folder", to(`"x/` + shard1 + `"`), "", "a", 15, "not the plain name"},
		{"backslashes", to(`"..\\` + shard1 + `"`), "", "a", 15, "not the plain name"},
		{"with NUL", to(`"model\u0000.safetensors"`), "", "a", 15, "not the plain name"},
		{"long", to(`"` + strings.Repeat("x", 1<<20) + `.safetensors"`), "", "a", 15, "not the plain name"},
		{"another kind of file", to(`"pytorch_model.bin"`), "", "a", 15, "not a .safetensors file"},
		{"tensor name walking up", `{"weight_map":{"../a":"` + shard1 + `"}}`, "", "../a", 15, "walks up"},
		{"tensor name of 1 MB", `{"weight_map":{"` + strings.Repeat("n", 1<<20) + `":"` + shard1 + `"}}`, "", strings.Repeat("n", 1<<20), 15, "name of 1048576 bytes"},
		{"too many shards", `{"weight_map":{` + numbered(maxShards+1, `"%d":"%[1]d.safetensors",`), "", fmt.Sprint(maxShards), any64, "more than 4096 shards"},
		{"too many tensors", `{"weight_map":{` + numbered(maxTensors+1, `"%d":"x.safetensors",`), "", "", any64, "more than 131072 members"},
		{"shard missing", to(`"model-00003-of-00003.safetensors"`), "model-00003-of-00003.safetensors", "", -1, "the index lists this shard and it is not there"},
		{"tensor not in its shard", `{"weight_map":{"a":"` + shard1 + `","z":"` + shard2 + `"}}`, shard2, "z", -1, "does not hold it"},
		{"tensor in another shard", `{"weight_map":{"a":"` + shard2 + `","b":"` + shard1 + `"}}`, shard1, "a", any64, "lies here and the index lists it for"},
		{"total_size negative", `{"metadata":{"total_size":-12},"weight_map":{"a":"` + shard1 + `"}}`, "", "", 13, "total_size -12 is not a size"},
		{"total_size a fraction", `{"metadata":{"total_size":12.5},"weight_map":{"a":"` + shard1 + `"}}`, "", "", 13, "total_size 12.5 is not a size"},
		{"total_size 1e400", `{"metadata":{"total_size":1e400},"weight_map":{"a":"` + shard1 + `"}}`, "", "", 13, "is not a size"},
		{"total_size 2⁶⁴", `{"metadata":{"total_size":18446744073709551616},"weight_map":{"a":"` + shard1 + `"}}`, "", "", 13, "is not a size"},
		{"total_size a string", `{"metadata":{"total_size":"12"},"weight_map":{"a":"` + shard1 + `"}}`, "", "", 26, "metadata.total_size: a string where a number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := sharded(t, c.index)
			before := descriptors()
			s, err := Open(dir)
			if err == nil {
				s.Close()
				t.Fatal("accepted")
			}
			if c.file == "" {
				c.file = indexName
			}
			refused(t, err, filepath.Join(dir, c.file), c.tensor, c.at, c.reason)
			if after := descriptors(); after != before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}

func TestIndexOfBadShards(t *testing.T) {
	t.Run("tensor in two shards", func(t *testing.T) {
		dir := sharded(t, goodAB)
		save(t, dir, shard2, shard("c", "a"))
		_, err := Open(dir)
		refused(t, err, filepath.Join(dir, shard2), "a", any64, "it is in "+filepath.Join(dir, shard1)+" too")
	})
	t.Run("shard is a link to itself", func(t *testing.T) {
		dir := sharded(t, goodAB)
		path := filepath.Join(dir, shard2)
		if err := errors.Join(os.Remove(path), os.Symlink(shard2, path)); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir)
		refused(t, err, path, "", -1, "leads back to itself")
	})
	t.Run("shard is a folder", func(t *testing.T) {
		dir := sharded(t, goodAB)
		path := filepath.Join(dir, shard2)
		if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir)
		refused(t, err, path, "", -1, "a folder where a file belongs")
	})
	t.Run("shard malformed", func(t *testing.T) {
		dir := sharded(t, goodAB)
		path := save(t, dir, shard2, []byte("PK"))
		_, err := Open(dir)
		refused(t, err, path, "", 2, "eight bytes")
	})
	t.Run("index too large", func(t *testing.T) {
		dir := sharded(t, goodAB)
		path := filepath.Join(dir, indexName)
		if err := os.Truncate(path, maxIndex+1); err != nil { // sparse: nothing is written
			t.Fatal(err)
		}
		_, err := Open(dir)
		refused(t, err, path, "", -1, "at most")
	})
}

// TestIndexAccepted: all ways to name a sharded model lead to all its tensors.
func TestIndexAccepted(t *testing.T) {
	for _, c := range []struct {
		name, index string
		warnings    int
	}{
		{"plain", goodAB, 0},
		{"without metadata", `{"weight_map":{"a":"` + shard1 + `","b":"` + shard1 + `","c":"` + shard2 + `"}}`, 0},
		{"metadata null", `{"metadata":null,"weight_map":{"a":"` + shard1 + `","c":"` + shard2 + `"}}`, 0},
		{"a tensor not listed", `{"weight_map":{"a":"` + shard1 + `","c":"` + shard2 + `"}}`, 0},
		{"total_size a float", strings.Replace(goodAB, "12}", "12.0,\"x\":[1]}", 1), 0},
		{"total_size a lie", strings.Replace(goodAB, "12}", "13}", 1), 1},
		{"other keys", strings.Replace(goodAB, "{", `{"x":{"weight_map":[]},`, 1), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := sharded(t, c.index)
			save(t, dir, "config.json", []byte("{}"))
			for _, path := range []string{dir, dir + "/", filepath.Join(dir, shard1), filepath.Join(dir, shard2), filepath.Join(dir, indexName), filepath.Join(dir, "config.json")} {
				s, err := Open(path)
				if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				if got := strings.Join(s.Names(), ""); got != "abc" || len(s.Files) != 2 || s.Bytes() != 12 {
					t.Errorf("%s: %s in %d files, %d bytes", path, got, len(s.Files), s.Bytes())
				}
				if filepath.Clean(s.Dir) != dir || s.Path != path || len(s.Warnings) != c.warnings {
					t.Errorf("%s: folder %s, warnings %q", path, s.Dir, s.Warnings)
				}
				if x, _ := s.Tensor("c"); s.Files[x.File].Path != filepath.Join(s.Dir, shard2) {
					t.Errorf("c lies in %s", s.Files[x.File].Path)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
