package weights

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzSafeTensorsHeader: every file is either an *Error, or tensors that cover
// its data exactly once and can be mapped and read.
func FuzzSafeTensorsHeader(f *testing.F) {
	f.Add([]byte(pad("{"+four+"}")), uint16(16), uint16(0))
	f.Add([]byte(`{}`), uint16(0), uint16(0))
	f.Add([]byte(pad(`{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]},"a":{"shape":[],"dtype":"BF16","data_offsets":[8,10]}}`)), uint16(10), uint16(0))
	f.Add([]byte(`{"a":{"dtype":"F4","shape":[3,0],"data_offsets":[0,0]}}`), uint16(0), uint16(3))
	f.Add([]byte(`{"a":{"dtype":"I64","shape":[-1],"data_offsets":[8,0]},"\u0061":1}`), uint16(8), uint16(9))
	path := filepath.Join(f.TempDir(), singleName)
	f.Fuzz(func(t *testing.T, header []byte, data, lie uint16) {
		content := file(string(header), int(data))
		content[0], content[1] = content[0]+byte(lie), content[1]+byte(lie>>8) // the length may lie
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.File != path || e.Offset > int64(len(content)) {
				t.Fatalf("not an *Error about the file: %v", err)
			}
			return
		}
		defer s.Close()
		var sum int64
		for _, name := range s.Names() {
			x, _ := s.Tensor(name)
			if sum += x.Bytes; x.Offset < s.Files[0].Header || x.Offset+x.Bytes > s.Files[0].Size {
				t.Fatalf("%q lies outside: %+v", name, x)
			}
			if err := s.ReadTensor(x, make([]byte, x.Bytes), 0); err != nil {
				t.Fatal(err)
			}
		}
		if sum != s.Files[0].Size-s.Files[0].Header {
			t.Fatalf("%d bytes of tensors in %d", sum, s.Files[0].Size-s.Files[0].Header)
		}
		if err := s.Map(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzShardIndex: every index is either an *Error or names shards beside it.
func FuzzShardIndex(f *testing.F) {
	for _, s := range []string{goodAB, `{"weight_map":{"a":"../x.safetensors"}}`, `{"metadata":{"total_size":1e3},"weight_map":{"a":"b.safetensors"}}`, `{"weight_map":{"a":"b.safetensors","\u0061":"c.safetensors"}}`, `{"Weight_map":{}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := parseIndex("dir/"+indexName, text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset > int64(len(text)) {
				t.Fatalf("not an *Error: %v", err)
			}
			return
		}
		if len(x.shards) == 0 || len(x.weightMap) == 0 {
			t.Fatal("accepted an index of nothing")
		}
		for name, shard := range x.weightMap {
			if name == "" || filepath.Base(shard) != shard || strings.Contains(shard, "..") && !strings.HasSuffix(shard, ".safetensors") || filepath.Dir(filepath.Join("dir", shard)) != "dir" {
				t.Fatalf("tensor %q in %q", name, shard)
			}
		}
	})
}
