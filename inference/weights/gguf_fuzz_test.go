package weights

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"llorch/inference/tensor"
)

// FuzzGGUFHeader: every file is either an *Error about it, or tensors that lie in
// it one behind the other, and metadata that can be read.
func FuzzGGUFHeader(f *testing.F) {
	f.Add(written(f, allKinds, Spec{"a", tensor.F32, []int{2, 3}}, Spec{"b", tensor.Q4_K, []int{256}}))
	f.Add(written(f, []Pair{{alignmentKey, uint32(8)}, {splitCount, uint16(1)}}, Spec{"a", tensor.BF16, []int{1}}))
	f.Add(oneInfo(16, info("t", 0, 0, 1<<32, 1<<32)))
	f.Add(onePair("a", 9, 8, u64(2), "x", u64(500)))
	f.Add(raw([]byte("GGUF"), []byte{0, 0, 0, 3}, u64(0), u64(0)))
	path := filepath.Join(f.TempDir(), "m.gguf")
	f.Fuzz(func(t *testing.T, content []byte) {
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
		end := s.Files[0].Header
		for _, x := range s.tensorsOf(0) {
			if x.Offset < end || x.Offset+x.Bytes > s.Files[0].Size || x.Bytes <= 0 {
				t.Fatalf("%q lies outside, or over another: %+v", x.Name, x)
			}
			end = x.Offset + x.Bytes
			if err := s.ReadTensor(x, make([]byte, x.Bytes), 0); err != nil {
				t.Fatal(err)
			}
		}
		readable(t, s.Meta)
		if err := s.Map(); err != nil {
			t.Fatal(err)
		}
	})
}

// readable checks that every key can be read as one type at least; an integer
// that is too large is as none.
func readable(t *testing.T, m *Metadata) {
	for _, key := range m.Keys() {
		_, a := m.Int(key)
		_, b := m.Float(key)
		_, c := m.Bool(key)
		_, d := m.Text(key)
		_, e := m.Texts(key)
		_, f := m.Ints(key)
		_, g := m.Float32s(key)
		_, h := m.Bools(key)
		fitting := 0
		for _, err := range []error{a, b, c, d, e, f, g, h} {
			var x *Error
			if err == nil {
				fitting++
			} else if !errors.As(err, &x) || x.Key != key {
				t.Fatalf("%q: %v", key, err)
			}
		}
		if i := m.byKey[key]; fitting != 1 && !(fitting == 0 && (m.pairs[i].elem == ggufF64 || m.pairs[i].kind == ggufU64 || m.pairs[i].elem == ggufU64)) {
			t.Fatalf("%q can be read as %d types", key, fitting)
		}
	}
}
