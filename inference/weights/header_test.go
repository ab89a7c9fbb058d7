package weights

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"llorch/inference/cputime"
	"llorch/inference/tensor"
)

const any64 = -2 // refused does not check the byte

// entry is one tensor of four float32.
const four = `"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}`

func length(n uint64, rest string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, n), rest...)
}

func TestHeaderRefused(t *testing.T) {
	one := func(entry string) []byte { return file(pad(`{"a":`+entry+`}`), 16) }
	for _, c := range []struct {
		name   string
		data   []byte
		tensor string
		at     int64
		reason string
	}{
		{"empty file", nil, "", 0, "ends inside the eight bytes"},
		{"seven bytes", make([]byte, 7), "", 7, "ends inside the eight bytes"},
		{"length 0", length(0, "{}"), "", 0, "shortest is {}"},
		{"length beyond the file", length(100, "{}"), "", 0, "100 bytes in a file of 10"},
		{"length beyond the cap", length(maxHeader+1, "{}"), "", 0, "at most 100000000"},
		{"length 2⁶³", length(1<<63, "{}"), "", 0, "at most"},
		{"length 2⁶⁴-1", length(1<<64-1, "{}"), "", 0, "at most"},
		{"length 2⁶⁴-8", length(1<<64-8, "{}"), "", 0, "at most"},
		{"header cut by one byte", file(pad("{"+four+"}"), 0)[:40], "", 0, "in a file of 40"},
		{"JSON cut", file(`{"a":{"dtype":"F32`, 16), "a", 26, "ends inside a string"},
		{"not UTF-8", file("{\"\xff\":1}", 0), "", 10, "UTF-8"},
		{"byte order mark", file("\uFEFF{"+four+"}", 16), "", 8, "begin with '{'"},
		{"space before", file(" {"+four+"}", 16), "", 8, "begin with '{'"},
		{"an array", file(`[]`, 0), "", 8, "begin with '{'"},
		{"bytes after the JSON", file(`{}x`, 0), "", 10, "after the value"},
		{"NUL after the JSON", file("{}\x00\x00", 0), "", 10, "after the value"},
		{"depth bomb", file(`{"a":`+strings.Repeat("[", 1_000_000), 0), "a", 13, "an array where an object"},
		{"depth bomb in metadata", file(`{"__metadata__":{"x":`+strings.Repeat("[", 1_000_000), 0), "", 29, "an array where a string"},
		{"duplicate tensor", file(pad("{"+four+","+four+"}"), 16), "", 9 + int64(len(four)) + 1, `"a" for the second time`},
		{"escaped duplicate", file(pad("{"+four+","+strings.Replace(four, "a", `\u0061`, 1)+"}"), 16), "", 9 + int64(len(four)) + 1, `"a" for the second time`},
		{"duplicate dtype", one(`{"dtype":"F32","dtype":"F16","shape":[4],"data_offsets":[0,16]}`), "a", 28, `"dtype" for the second time`},
		{"dtype in another case", one(`{"Dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}`), "a", 14, `unknown key "Dtype"`},
		{"only in another case", one(`{"dtype":"F32","Shape":[4],"data_offsets":[0,16]}`), "a", 28, `unknown key "Shape"`},
		{"unknown key", one(`{"dtype":"F32","shape":[4],"data_offsets":[0,16],"x":1}`), "a", any64, `unknown key "x"`},
		{"entry is a string", one(`"x"`), "a", 13, "a string where an object"},
		{"no dtype", one(`{"shape":[4],"data_offsets":[0,16]}`), "a", 9, "no dtype"},
		{"no shape", one(`{"dtype":"F32","data_offsets":[0,16]}`), "a", 9, "no shape"},
		{"no offsets", one(`{"dtype":"F32","shape":[4]}`), "a", 9, "no data_offsets"},
		{"dtype null", one(`{"dtype":null,"shape":[4],"data_offsets":[0,16]}`), "a", 22, "null where a string"},
		{"dtype unknown", one(`{"dtype":"F99","shape":[4],"data_offsets":[0,16]}`), "a", 9, `unknown dtype "F99"`},
		{"dtype in small letters", one(`{"dtype":"f32","shape":[4],"data_offsets":[0,16]}`), "a", 9, `unknown dtype "f32"`},
		{"sub-byte span", one(`{"dtype":"F4","shape":[3],"data_offsets":[0,2]}`), "a", 9, "whole bytes"},
		{"shape negative", one(`{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}`), "a", 37, "-4 is negative"},
		{"shape two negatives", one(`{"dtype":"F32","shape":[-2,-2],"data_offsets":[0,16]}`), "a", any64, "negative"},
		{"shape float", one(`{"dtype":"F32","shape":[4.0],"data_offsets":[0,16]}`), "a", 37, "4.0 is not written as an integer"},
		{"shape 1e30", one(`{"dtype":"F32","shape":[1e30],"data_offsets":[0,16]}`), "a", 37, "not written as an integer"},
		{"shape 2⁶⁴", one(`{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,16]}`), "a", 37, "does not fit"},
		{"shape string", one(`{"dtype":"F32","shape":["4"],"data_offsets":[0,16]}`), "a", 37, "a string where a number"},
		{"shape null", one(`{"dtype":"F32","shape":null,"data_offsets":[0,16]}`), "a", 36, "null where an array"},
		{"17 dimensions", one(`{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}`), "a", any64, "more than 16 dimensions"},
		{"product overflows to 0", one(`{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}`), "a", 9, "does not fit"},
		{"product overflows before a zero", one(`{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}`), "a", 9, "does not fit"},
		{"bytes overflow", one(`{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}`), "a", 9, "does not fit"},
		{"offsets reversed", one(`{"dtype":"F32","shape":[4],"data_offsets":[16,0]}`), "a", 9, "reversed"},
		{"offsets one", one(`{"dtype":"F32","shape":[4],"data_offsets":[16]}`), "a", any64, "fewer than two"},
		{"offsets none", one(`{"dtype":"F32","shape":[4],"data_offsets":[]}`), "a", any64, "fewer than two"},
		{"offsets three", one(`{"dtype":"F32","shape":[4],"data_offsets":[0,16,16]}`), "a", any64, "more than two"},
		{"offsets strings", one(`{"dtype":"F32","shape":[4],"data_offsets":["0","16"]}`), "a", any64, "a string where a number"},
		{"offsets negative", one(`{"dtype":"F32","shape":[4],"data_offsets":[-16,0]}`), "a", any64, "negative"},
		{"offsets float", one(`{"dtype":"F32","shape":[4],"data_offsets":[0,1.6e1]}`), "a", any64, "not written as an integer"},
		{"offsets beyond the end", one(`{"dtype":"F32","shape":[5],"data_offsets":[0,20]}`), "a", 9, "beyond the file's 16 bytes"},
		{"offsets at 2⁶³-1", one(`{"dtype":"F32","shape":[4],"data_offsets":[9223372036854775791,9223372036854775807]}`), "a", 9, "beyond the file's 16 bytes"},
		{"span short", one(`{"dtype":"F32","shape":[4],"data_offsets":[0,8]}`), "a", 9, "span 8 bytes, shape [4] of F32 takes 16"},
		{"span long", one(`{"dtype":"F16","shape":[4],"data_offsets":[0,16]}`), "a", 9, "takes 8"},
		{"scalar span", one(`{"dtype":"F32","shape":[],"data_offsets":[0,16]}`), "a", 9, "takes 4"},
		{"overlap", file(pad(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}`), 16), "b", any64, `overlap those of "a"`},
		{"same span twice", file(pad(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`), 16), "b", any64, `overlap those of "a"`},
		{"hole at the start", one(`{"dtype":"F32","shape":[3],"data_offsets":[4,16]}`), "a", any64, "hole of 4 bytes"},
		{"hole between", file(pad(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}`), 16), "b", any64, "hole of 4 bytes"},
		{"misaligned", file(`{`+four+`}`+strings.Repeat(" ", 2), 16), "a", 9, "not aligned to F32"},
		{"misaligned by its neighbour", file(pad(`{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}`), 6), "b", any64, "not aligned to F32"},
		{"tail (ZIP behind the tensors)", append(file(pad("{"+four+"}"), 16), "PK\x05\x06"...), "", any64, "4 bytes that belong to no tensor"},
		{"data without tensors", file("{}", 1), "", 10, "1 bytes that belong to no tensor"},
		{"metadata a number", file(`{"__metadata__":{"x":1}}`, 0), "", 29, `__metadata__ "x": a number where a string`},
		{"metadata null", file(`{"__metadata__":null}`, 0), "", 24, "null where an object"},
		{"metadata an object inside", file(`{"__metadata__":{"x":{}}}`, 0), "", 29, "an object where a string"},
		{"metadata twice", file(`{"__metadata__":{},"__metadata__":{}}`, 0), "", 27, "for the second time"},
		{"metadata huge", file(`{"__metadata__":{"x":"`+strings.Repeat("x", maxMetadata)+`"}}`, 0), "", 24, "longer than"},
		{"name empty", file(pad(`{"":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`), 16), "", 9, "empty tensor name"},
		{"name with NUL", file(pad(`{"a\u0000b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`), 16), "a\x00b", 9, "control character"},
		{"name with a newline", file(pad(`{"a\nb":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`), 16), "a\nb", 9, "control character"},
		{"name walking up", file(pad(`{"../a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`), 16), "../a", 9, "walks up"},
		{"name walking up inside", file(pad(`{"a\\..\\b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`), 16), `a\..\b`, 9, "walks up"},
		{"name of 1 MB", file(pad(`{"`+strings.Repeat("n", 1<<20)+`":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`), 16), strings.Repeat("n", 1<<20), 9, "name of 1048576 bytes"},
		{"pickle", append([]byte("\x80\x02}q\x00."), make([]byte, 100)...), "", 0, "is this a SafeTensors file?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := save(t, t.TempDir(), "model.safetensors", c.data)
			before := descriptors()
			s, err := Open(path)
			if err == nil {
				s.Close()
				t.Fatal("accepted")
			}
			refused(t, err, path, c.tensor, c.at, c.reason)
			if after := descriptors(); after != before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}

func TestHeaderAccepted(t *testing.T) {
	json := pad(`{"__metadata__":{"format":"pt","a":"\u0061"},` +
		`"w":{"data_offsets":[8,20],"shape":[2,3],"dtype":"BF16"},` +
		`"W":{"dtype":"F32","shape":[],"data_offsets":[0,4]},` + // differs in case only: another tensor
		`"empty":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},` +
		`"f16/x":{"dtype":"F16","shape":[1,2],"data_offsets":[4,8]},` +
		`"f4":{"dtype":"F4","shape":[4],"data_offsets":[20,22]},` +
		`"i64":{"dtype":"I64","shape":[1],"data_offsets":[24,32]},` +
		`"u8":{"dtype":"U8","shape":[2],"data_offsets":[22,24]}}`)
	s, err := Open(save(t, t.TempDir(), "model.safetensors", file(json, 32)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	data := int64(8 + len(json))
	for _, want := range []Tensor{
		{Name: "W", Type: tensor.F32, Format: "F32", Shape: []int{}, Offset: data, Bytes: 4},
		{Name: "empty", Type: tensor.F32, Format: "F32", Shape: []int{0, 7}, Offset: data + 4},
		{Name: "f16/x", Type: tensor.F16, Format: "F16", Shape: []int{1, 2}, Offset: data + 4, Bytes: 4},
		{Name: "f4", Format: "F4", Shape: []int{4}, Offset: data + 20, Bytes: 2},
		{Name: "i64", Format: "I64", Shape: []int{1}, Offset: data + 24, Bytes: 8},
		{Name: "u8", Format: "U8", Shape: []int{2}, Offset: data + 22, Bytes: 2},
		{Name: "w", Type: tensor.BF16, Format: "BF16", Shape: []int{2, 3}, Offset: data + 8, Bytes: 12},
	} {
		got, ok := s.Tensor(want.Name)
		if !ok {
			t.Errorf("%s is missing", want.Name)
			continue
		}
		if got.Type != want.Type || got.Format != want.Format || !slices.Equal(got.Shape, want.Shape) || got.Offset != want.Offset || got.Bytes != want.Bytes || got.Data != nil {
			t.Errorf("got %+v, want %+v", *got, want)
		}
	}
	if want := []string{"W", "empty", "f16/x", "f4", "i64", "u8", "w"}; !slices.Equal(s.Names(), want) {
		t.Errorf("names %v", s.Names())
	}
	if s.Bytes() != 32 || s.FileBytes() != data+32 {
		t.Errorf("%d bytes of tensors, %d of files", s.Bytes(), s.FileBytes())
	}
}

// TestHeaderBounded parses headers made to be slow or large: at most a second
// of the processor and max(64 MiB, 4 × header) of memory each.
func TestHeaderBounded(t *testing.T) {
	if testing.Short() || slowdown > 1 {
		t.Skip("headers of up to 100 MB, and the race detector's time and memory are not the program's")
	}
	for _, c := range []struct {
		name, reason string
		header       func() string
	}{
		{"as many tensors as allowed", "", func() string { return zeroTensors(maxTensors) }},
		{"10⁶ tensors", "more than 131072 tensors", func() string { return zeroTensors(1_000_000) }},
		{"10⁶ keys in one entry", "unknown key", func() string { return `{"a":{` + strings.Repeat(`"k":1,`, 1_000_000) }},
		{"10⁶ dimensions", "more than 16 dimensions", func() string { return `{"a":{"shape":[` + strings.Repeat("1,", 1_000_000) }},
		{"10⁶ keys in metadata", "more than", func() string { return `{"__metadata__":{` + numbered(1_000_000, `"%d":"",`) }},
		{"100 MB of metadata", "longer than", func() string { return `{"__metadata__":{"x":"` + strings.Repeat("x", 99_000_000) + `"}}` }},
		{"100 MB of escapes", "longer than", func() string { return `{"__metadata__":{"x":"` + strings.Repeat(`\u0061`, 16_000_000) + `"}}` }},
		{"20 MB name", "a tensor name of", func() string { return `{"` + strings.Repeat("x", 20_000_000) + `":1}` }},
		{"100 MB of spaces", "", func() string { return `{}` + strings.Repeat(" ", 99_999_998) }},
		{"20 MB of digits", "does not fit", func() string { return `{"a":{"shape":[` + strings.Repeat("9", 20_000_000) + `]}}` }},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := c.header()
			path, size := save(t, t.TempDir(), "model.safetensors", file(header, 0)), int64(len(header))
			took, allocated, err := measure(path)
			if (err == nil) != (c.reason == "") || err != nil && !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %.200v, want %q", err, c.reason)
			}
			if took > time.Second {
				t.Errorf("took %v", took)
			}
			// What was allocated in total bounds what was ever live.
			if allocated > max(64<<20, 4*size) {
				t.Errorf("allocated %d MB for a header of %d MB", allocated>>20, size>>20)
			}
			t.Logf("%v, %d MB allocated, header %d MB", took, allocated>>20, size>>20)
		})
	}
}

// measure opens path and returns the processor's time and the bytes it took.
func measure(path string) (took time.Duration, allocated int64, err error) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cputime.Now()
	s, err := Open(path)
	took = cputime.Now() - start
	runtime.ReadMemStats(&after)
	if err == nil {
		s.Close()
	}
	return took, int64(after.TotalAlloc - before.TotalAlloc), err
}

func numbered(n int, format string) string {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func zeroTensors(n int) string {
	json := "{" + numbered(n, `"%07d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},`)
	return json[:len(json)-1] + "}"
}
