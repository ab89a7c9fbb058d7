package weights

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"llorch/inference/tensor"
)

// raw puts the bytes of a GGUF file together, right or wrong. Integers are written
// in the width of their type, strings with their length before them.
func raw(parts ...any) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			putText(&b, p)
		case []byte:
			b.Write(p)
		case int:
			put(&b, uint32(p))
		default:
			if err := binary.Write(&b, binary.LittleEndian, p); err != nil {
				panic(err)
			}
		}
	}
	return b.Bytes()
}

type u64 = uint64

// prefixed is a file of version 3 with that many tensors and pairs.
func prefixed(tensors, pairs u64, rest ...any) []byte {
	return append(raw([]byte("GGUF"), 3, tensors, pairs), raw(rest...)...)
}

// padded fills a header with zeros up to the next multiple of 32, and adds data.
func padded(header []byte, data int) []byte {
	n := (len(header) + 31) &^ 31
	return append(append(slices.Clone(header), make([]byte, n-len(header))...), make([]byte, data)...)
}

// info describes a tensor: F32 unless kind says otherwise.
func info(name string, kind int, offset u64, dims ...u64) []byte {
	return raw(name, len(dims), dims, kind, offset)
}

// oneInfo is a file of one tensor.
func oneInfo(data int, info []byte) []byte { return padded(prefixed(1, 0, info), data) }

// onePair is a file of one key.
func onePair(rest ...any) []byte { return padded(prefixed(0, 1, rest...), 0) }

// Where things are in the files above.
const (
	firstKey  = 24
	firstInfo = 24
	keyA      = firstKey + 8 + 1 // behind the key "a": its type
)

func TestGGUFRefused(t *testing.T) {
	huge := u64(math.MaxUint64)
	twoInfos := func(data int, a, b []byte) []byte { return padded(prefixed(2, 0, a, b), data) }
	for _, c := range []struct {
		name        string
		data        []byte
		key, tensor string
		at          int64
		reason      string
	}{
		{"empty file", nil, "", "", 0, "24 bytes"},
		{"23 bytes", prefixed(0, 0)[:23], "", "", 23, "24 bytes"},
		{"bad magic", append([]byte("GGJT"), make([]byte, 20)...), "", "", 0, "not a GGUF file"},
		{"SafeTensors under the name", file(pad("{"+four+"}"), 16), "", "", 0, "not a GGUF file"},
		{"version 0", raw([]byte("GGUF"), 0, u64(0), u64(0)), "", "", 4, "version 0; versions 2 and 3"},
		{"version 1", raw([]byte("GGUF"), 1, 0, 0, make([]byte, 8)), "", "", 4, "version 1, which no writer"},
		{"version 4", raw([]byte("GGUF"), 4, u64(0), u64(0)), "", "", 4, "version 4; versions 2 and 3"},
		{"big-endian", raw([]byte("GGUF"), []byte{0, 0, 0, 3}, u64(0), u64(0)), "", "", 4, "big-endian"},

		{"2³² tensors", prefixed(1<<32, 0), "", "", 8, "the number of tensors is 4294967296"},
		{"2⁶³ tensors", prefixed(1<<63, 0), "", "", 8, "the number of tensors is 9223372036854775808"},
		{"2⁶⁴-1 tensors", prefixed(huge, 0), "", "", 8, "the number of tensors is"},
		{"one tensor more than the file can hold", prefixed(1, 0), "", "", 8, "at most 0"},
		{"2³² keys", prefixed(0, 1<<32), "", "", 16, "the number of keys is 4294967296"},
		{"2⁶³ keys", prefixed(0, 1<<63), "", "", 16, "the number of keys is 9223372036854775808"},
		{"one key less than announced", append(prefixed(0, 2, "a", 4, 7), make([]byte, 8)...), "", "", firstKey + 17, "an empty tensor name"[:8]},
		{"tensors missing", append(prefixed(1, 0), make([]byte, 40)...), "", "", firstInfo, "an empty tensor name"},

		{"key of 2⁶⁴-1 bytes", onePair(huge), "", "", firstKey, "the length of a key is 18446744073709551615"},
		{"key of 2⁶³ bytes", onePair(u64(1 << 63)), "", "", firstKey, "the length of a key is"},
		{"key beyond the file", onePair(u64(1000)), "", "", firstKey, "the length of a key is 1000"},
		{"key too long", onePair(strings.Repeat("k", maxName+1), 4, 7), "", "", firstKey, "a key of 4097 bytes"},
		{"empty key", onePair("", 4, 7), "", "", firstKey, "an empty key"},
		{"NUL in a key", onePair("a\x00", 4, 7), "", "", firstKey, "a control character in a key"},
		{"duplicate key", padded(prefixed(0, 2, "a", 4, 7, "a", 4, 7), 0), "a", "", firstKey + 17, "there twice"},
		{"type of a value", onePair("a", 13, 0), "a", "", keyA, "the type of the value is 13"},
		{"type of a value 2³²-1", onePair("a", uint32(math.MaxUint32)), "a", "", keyA, "the type of the value is 4294967295"},
		{"bool 2", onePair("a", 7, uint8(2)), "a", "", keyA + 4, "a bool is 2"},
		{"number cut", prefixed(0, 1, "a", 10, 7, []byte{0})[:keyA+4+5], "a", "", keyA + 4, "a number of 8 bytes ends beyond"},
		{"string of 2⁶⁴-1 bytes", onePair("a", 8, huge), "a", "", keyA + 4, "the length of a string is 18446744073709551615"},
		{"string beyond the file", onePair("a", 8, u64(1000)), "a", "", keyA + 4, "the length of a string is 1000"},
		{"string too long", onePair("a", 8, strings.Repeat("x", maxText+1)), "a", "", keyA + 4, "a string of 4194305 bytes; at most"},

		{"array of arrays", onePair("a", 9, 9, u64(1), 9, u64(1), 9, u64(1)), "a", "", keyA + 4, "an array of arrays"},
		{"array of type 13", onePair("a", 9, 13, u64(1)), "a", "", keyA + 4, "the type of the elements is 13"},
		{"array of 2⁶⁴-1", onePair("a", 9, 4, huge), "a", "", keyA + 8, "the number of elements is"},
		{"array of 2⁶²", onePair("a", 9, 10, u64(1<<62)), "a", "", keyA + 8, "the number of elements is"},
		{"array beyond the file", onePair("a", 9, 4, u64(100), 1), "a", "", keyA + 8, "the number of elements is 100"},
		{"array of strings beyond the file", onePair("a", 9, 8, u64(100)), "a", "", keyA + 8, "the number of elements is 100"},
		{"string of 2⁶⁴-1 bytes in an array", onePair("a", 9, 8, u64(1), huge), "a", "", keyA + 16, "the length of a string is"},
		{"string beyond the file in an array", onePair("a", 9, 8, u64(2), "x", u64(500)), "a", "", keyA + 16 + 9, "the length of a string is 500"},
		{"bool 2 in an array", onePair("a", 9, 7, u64(3), []byte{1, 0, 2}), "a", "", keyA + 18, "a bool is 2"},

		{"alignment 0", onePair("general.alignment", 4, 0), "general.alignment", "", any64, "0 is no power of two"},
		{"alignment 4", onePair("general.alignment", 4, 4), "general.alignment", "", any64, "4 is no power of two from 8"},
		{"alignment 48", onePair("general.alignment", 4, 48), "general.alignment", "", any64, "48 is no power of two"},
		{"alignment 2³¹", onePair("general.alignment", 4, uint32(1<<31)), "general.alignment", "", any64, "2147483648 is no power of two from 8 to"},
		{"alignment -32", onePair("general.alignment", 5, int32(-32)), "general.alignment", "", any64, "-32 is no power"},
		{"alignment 2⁶⁴-32", onePair("general.alignment", 10, u64(1<<64-32)), "general.alignment", "", any64, "18446744073709551584 is more than"},
		{"alignment a string", onePair("general.alignment", 8, "32"), "general.alignment", "", any64, "type string where an integer"},
		{"alignment an array", onePair("general.alignment", 9, 4, u64(1), 32), "general.alignment", "", any64, "an array of 1 u32 where an integer"},

		{"tensor name of 2⁶⁴-1 bytes", oneInfo(0, raw(huge, make([]byte, 40))), "", "", firstInfo, "the length of the name of a tensor is"},
		{"tensor name too long", oneInfo(16, info(strings.Repeat("t", 5000), 0, 0, 4)), "", "", firstInfo, "the name of a tensor of 5000 bytes"},
		{"tensor name walks up", oneInfo(16, info("../t", 0, 0, 4)), "", "", firstInfo, "walks up a folder"},
		{"no dimensions", oneInfo(16, append(info("t", 0, 0), make([]byte, 16)...)), "", "t", firstInfo + 9, "0 dimensions; a tensor has 1 to 4"},
		{"5 dimensions", oneInfo(16, info("t", 0, 0, 1, 1, 1, 1, 4)), "", "t", firstInfo + 9, "5 dimensions"},
		{"2³²-1 dimensions", oneInfo(16, raw("t", uint32(math.MaxUint32), make([]byte, 32))), "", "t", firstInfo + 9, "4294967295 dimensions"},
		{"dimension 0", oneInfo(16, info("t", 0, 0, 4, 0)), "", "t", firstInfo + 13 + 8, "dimension 1 is 0"},
		{"dimension 2⁶³", oneInfo(16, info("t", 0, 0, 1<<63)), "", "t", firstInfo + 13, "a dimension is 9223372036854775808"},
		{"dimension -1", oneInfo(16, info("t", 0, 0, huge)), "", "t", firstInfo + 13, "a dimension is"},
		{"product of dimensions overflows", oneInfo(16, info("t", 0, 0, 1<<32, 1<<32)), "", "t", firstInfo + 29, "does not fit 63 bits"},
		{"product of dimensions wraps to 4", oneInfo(16, info("t", 0, 0, 1<<62+1, 4)), "", "t", firstInfo + 29, "does not fit 63 bits"},
		{"product times size overflows", oneInfo(16, info("t", 0, 0, 1<<62)), "", "t", firstInfo + 21, "does not fit 63 bits"},
		{"product times size of a block overflows", oneInfo(16, info("t", 8, 0, 1<<31, 1<<31, 2)), "", "t", any64, "does not fit 63 bits"},
		{"padding overflows", oneInfo(16, info("t", 24, 0, 1<<63-1-74)), "", "t", -1, "does not fit 63 bits"},
		{"type unknown", oneInfo(16, info("t", 99, 0, 4)), "", "t", firstInfo + 21, "type 99, which this program does not know"},
		{"type 2³²-1", oneInfo(16, raw("t", 1, u64(4), uint32(math.MaxUint32), u64(0))), "", "t", firstInfo + 21, "type 4294967295"},
		{"type removed", oneInfo(16, info("t", 4, 0, 32)), "", "t", firstInfo + 21, "Q4_2, which was removed"},
		{"type not for files", oneInfo(16, info("t", 15, 0, 256)), "", "t", firstInfo + 21, "Q8_K, which is for values while computing"},
		{"rows no whole blocks", oneInfo(64, info("t", 2, 0, 33)), "", "t", firstInfo + 21, "rows of 33 elements are no whole blocks of the 32 of Q4_0"},
		{"rows no whole blocks, the tensor is", oneInfo(400, info("t", 12, 0, 128, 2)), "", "t", firstInfo + 29, "rows of 128 elements"},
		{"offset beyond the file", oneInfo(16, info("t", 0, 1<<20, 4)), "", "t", firstInfo + 25, "begin at byte 1048576"},
		{"offset 2⁶⁴-32", oneInfo(16, info("t", 0, 1<<64-32, 4)), "", "t", firstInfo + 25, "begin at byte 18446744073709551584"},
		{"offset unaligned", oneInfo(64, info("t", 0, 4, 4)), "", "t", any64, "offset 4 is no multiple of the alignment, 32"},
		{"hole before the first", oneInfo(64, info("t", 0, 32, 4)), "", "t", any64, "a hole of 32 bytes"},
		{"past the end", oneInfo(12, info("t", 0, 0, 4)), "", "t", any64, "end beyond the file's"},
		{"far past the end", oneInfo(16, info("t", 0, 0, 1<<40)), "", "t", any64, "end beyond the file's"},
		{"data missing", prefixed(1, 0, info("t", 0, 0, 4)), "", "t", any64, "end beyond the file's"},
		{"overlap", twoInfos(64, info("t", 0, 0, 16), info("u", 0, 32, 8)), "", "u", any64, "overlap"},
		{"the same place", twoInfos(32, info("t", 0, 0, 4), info("u", 0, 0, 4)), "", "u", any64, "overlap"},
		{"hole", twoInfos(128, info("t", 0, 0, 4), info("u", 0, 64, 4)), "", "u", any64, "a hole of 32 bytes"},
		{"duplicate tensor", twoInfos(64, info("t", 0, 0, 4), info("t", 0, 32, 4)), "", "t", any64, "it is in "},
		{"tail", oneInfo(64, info("t", 0, 0, 4)), "", "", any64, "48 bytes that belong to no tensor"},
		{"tail behind a vocabulary", padded(prefixed(0, 1, "a", 4, 7), 32), "", "", any64, "32 bytes that belong to no tensor"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := save(t, t.TempDir(), "m.gguf", c.data)
			before := descriptors()
			s, err := Open(path)
			if err == nil {
				s.Close()
			}
			refused(t, err, path, c.tensor, c.at, c.reason)
			if e := err.(*Error); e.Key != c.key {
				t.Errorf("key %q, want %q", e.Key, c.key)
			}
			if after := descriptors(); after != before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}

// allKinds has a value of every type of the format.
var allKinds = []Pair{
	{"general.architecture", "llama"},
	{"u8", uint8(200)}, {"i8", int8(-3)}, {"u16", uint16(60000)}, {"i16", int16(-300)}, {"u32", uint32(4e9)}, {"i32", int32(-5)},
	{"u64", uint64(1 << 62)}, {"i64", int64(-1 << 62)}, {"f32", float32(0.5)}, {"f64", math.Pi}, {"yes", true}, {"no", false}, {"text", "naïve\x00"},
	{"u8s", []uint8{1, 255}}, {"i8s", []int8{-1}}, {"u16s", []uint16{65535}}, {"i16s", []int16{-2}}, {"u32s", []uint32{1 << 31}}, {"i32s", []int32{-7, 7}},
	{"u64s", []uint64{9}}, {"i64s", []int64{-9}}, {"f32s", []float32{1.5, -2}}, {"f64s", []float64{1}}, {"bools", []bool{true, false, true}},
	{"texts", []string{"", "a", "▁b", ""}}, {"none", []string{}},
}

// written is a GGUF file as the writer makes it, the bytes of each tensor counting up.
func written(t testing.TB, pairs []Pair, tensors ...Spec) []byte {
	t.Helper()
	var b bytes.Buffer
	err := WriteGGUF(&b, pairs, tensors, func(i int, w io.Writer) error {
		_, size, err := tensors[i].gguf()
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(i + j)
		}
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestGGUFRoundTrip: what the writer writes the reader reads, for every type of
// value and of tensor, three alignments and both versions.
func TestGGUFRoundTrip(t *testing.T) {
	var specs []Spec
	for id, kind := range ggufTypes {
		if kind.dtype != 0 {
			specs = append(specs, Spec{fmt.Sprint("t", id), kind.dtype, []int{3, int(kind.block)}})
		}
	}
	specs = append(specs, Spec{"vector", tensor.F32, []int{5}}, Spec{"cube", tensor.F16, []int{2, 3, 5}})
	slices.SortFunc(specs, func(a, b Spec) int { return strings.Compare(a.Name, b.Name) })
	for _, alignment := range []uint32{0, 8, 4096} {
		for _, version := range []byte{2, 3} {
			pairs := allKinds
			if alignment != 0 {
				pairs = append([]Pair{{alignmentKey, alignment}}, pairs...)
			}
			data := written(t, pairs, specs...)
			data[4] = version
			s, err := Open(save(t, t.TempDir(), "m.gguf", data))
			if err != nil {
				t.Fatal(err)
			}
			checkMeta(t, s.Meta)
			if err := s.Map(); err != nil {
				t.Fatal(err)
			}
			for i, spec := range specs {
				x, ok := s.Tensor(spec.Name)
				_, size, _ := spec.gguf()
				if !ok || x.Type != spec.Type || x.Format != spec.Type.String() || !slices.Equal(x.Shape, spec.Shape) || x.Bytes != size || x.Data[0] != byte(i) || x.Data[size-1] != byte(int(size)-1+i) {
					t.Errorf("alignment %d: %+v, want %+v", alignment, x, spec)
				}
				if x.Offset%int64(max(alignment, 8)) != 0 {
					t.Errorf("%s begins at %d", x.Name, x.Offset)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// checkMeta checks that m holds allKinds.
func checkMeta(t *testing.T, m *Metadata) {
	t.Helper()
	for _, p := range allKinds {
		var got any
		var err error
		want := reflect.ValueOf(p.Value)
		switch {
		case want.Kind() == reflect.Bool:
			got, err = m.Bool(p.Key)
		case want.Kind() == reflect.String:
			got, err = m.Text(p.Key)
		case want.CanInt() || want.CanUint():
			got, err = m.Int(p.Key)
			want = want.Convert(reflect.TypeFor[int64]())
		case want.CanFloat():
			got, err = m.Float(p.Key)
			want = want.Convert(reflect.TypeFor[float64]())
		case want.Type().Elem().Kind() == reflect.String:
			got, err = m.Texts(p.Key)
		case want.Type().Elem().Kind() == reflect.Bool:
			got, err = m.Bools(p.Key)
		case want.Type().Elem().Kind() == reflect.Float32:
			got, err = m.Float32s(p.Key)
		case want.Type().Elem().Kind() == reflect.Float64:
			_, err = m.Float32s(p.Key)
			if err == nil {
				t.Error("f64 read as f32")
			}
			continue
		default:
			got, err = m.Ints(p.Key)
			ints := make([]int64, want.Len())
			for i := range ints {
				ints[i] = want.Index(i).Convert(reflect.TypeFor[int64]()).Int()
			}
			want = reflect.ValueOf(ints)
		}
		if err != nil || !reflect.DeepEqual(got, want.Interface()) {
			t.Errorf("%s: %v %v, want %v", p.Key, got, err, want)
		}
	}
	if keys := m.Keys(); keys[len(keys)-1] != "none" || !m.Has("u8") || m.Has("x") || !m.IsArray("none") || m.IsArray("u8") || m.IsArray("x") {
		t.Errorf("keys %v", keys)
	}
}

// TestGGUFTypeConfusion: a key of the right name and another type is an error, and
// never its bytes read as something else (tokenizer.ggml.scores as u8, for one).
func TestGGUFTypeConfusion(t *testing.T) {
	path := save(t, t.TempDir(), "m.gguf", written(t, allKinds))
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := s.Meta
	reads := map[string]func(string) error{
		"integer": func(k string) error { _, err := m.Int(k); return err },
		"float":   func(k string) error { _, err := m.Float(k); return err },
		"bool":    func(k string) error { _, err := m.Bool(k); return err },
		"text":    func(k string) error { _, err := m.Text(k); return err },
		"texts":   func(k string) error { _, err := m.Texts(k); return err },
		"ints":    func(k string) error { _, err := m.Ints(k); return err },
		"floats":  func(k string) error { _, err := m.Float32s(k); return err },
		"bools":   func(k string) error { _, err := m.Bools(k); return err },
	}
	for _, p := range allKinds {
		fitting := 0
		for name, read := range reads {
			err := read(p.Key)
			if err == nil {
				fitting++
				continue
			}
			refused(t, err, path, "", any64, " where ")
			if e := err.(*Error); e.Key != p.Key || e.Offset < firstKey {
				t.Errorf("%s read as %s: %v", p.Key, name, err)
			}
		}
		if want := 1; fitting != want && p.Key != "f64s" {
			t.Errorf("%s can be read as %d types", p.Key, fitting)
		}
	}
	for name, read := range reads {
		err := read("gone")
		refused(t, err, path, "", -1, "missing")
		if err.(*Error).Key != "gone" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.Close(); reads["texts"]("texts") == nil {
		t.Error("an array was read from a closed file")
	}
}

func TestGGUFVocabularyAlone(t *testing.T) {
	for _, data := range [][]byte{prefixed(0, 1, "a", 4, 7), onePair("a", 4, 7)} {
		s, err := Open(save(t, t.TempDir(), "m.gguf", data))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := s.Meta.Int("a"); v != 7 || err != nil || len(s.Names()) != 0 || s.Files[0].Header != int64(len(data)) {
			t.Errorf("%d %v %+v", v, err, s.Files[0])
		}
		s.Close()
	}
}

// TestGGUFUncomputable: types without arithmetic are parsed, their spans checked,
// and left to whoever needs them.
func TestGGUFUncomputable(t *testing.T) {
	path := save(t, t.TempDir(), "m.gguf", oneInfo(136, info("t", 23, 0, 256)))
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if x, _ := s.Tensor("t"); x.Type != 0 || x.Format != "IQ4_XS" || x.Bytes != 136 {
		t.Errorf("%+v", x)
	}
}

func TestGGUFFolder(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "m.gguf", written(t, nil, Spec{"t", tensor.F32, []int{4}}))
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Path != dir || s.Dir != dir || s.Files[0].Path != filepath.Join(dir, "m.gguf") || s.Meta == nil {
		t.Errorf("%+v", s)
	}
}
