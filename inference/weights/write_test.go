package weights

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llorch/inference/tensor"
	"pgregory.net/rapid"
)

// TestWriteRead: what is written is read back, in any mix of formats and shapes,
// empty tensors and odd names included.
func TestWriteRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), singleName)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "tensors")
		var specs []Spec
		for i := range n {
			specs = append(specs, Spec{
				Name:  fmt.Sprintf("%d%s", i, rapid.SampledFrom([]string{"", `"\`, "é😀", "/x", "\u2028", "<&>"}).Draw(t, "name")),
				Type:  rapid.SampledFrom([]tensor.DType{tensor.F32, tensor.F16, tensor.BF16}).Draw(t, "type"),
				Shape: rapid.SliceOfN(rapid.IntRange(0, 5), 0, 3).Draw(t, "shape"),
			})
		}
		content := func(i int) []byte {
			size, err := specs[i].Bytes()
			if err != nil {
				t.Fatal(err)
			}
			return bytes.Repeat([]byte{byte(i + 1)}, int(size))
		}
		var b bytes.Buffer
		err := WriteSafeTensors(&b, specs, func(i int, w io.Writer) error {
			_, err := w.Write(content(i))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Map(); err != nil {
			t.Fatal(err)
		}
		if len(s.Names()) != n || s.Files[0].Header%8 != 0 {
			t.Fatalf("%d tensors of %d, header %d", len(s.Names()), n, s.Files[0].Header)
		}
		for i, want := range specs {
			got, ok := s.Tensor(want.Name)
			if !ok || got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) || !bytes.Equal(got.Data, content(i)) {
				t.Fatalf("tensor %d: got %+v, want %+v", i, got, want)
			}
		}
	})
}

func TestWriteRefused(t *testing.T) {
	one := []Spec{{"a", tensor.F32, []int{2}}}
	short := errors.New("disk full")
	write := func(n int) func(int, io.Writer) error {
		return func(_ int, w io.Writer) error { _, err := w.Write(make([]byte, n)); return err }
	}
	for _, c := range []struct {
		name  string
		specs []Spec
		fill  func(int, io.Writer) error
		want  string
	}{
		{"too few bytes", one, write(7), "1 of its 8 bytes were not written"},
		{"too many bytes", one, write(9), "1 bytes more than the tensor takes"},
		{"failing fill", one, func(int, io.Writer) error { return short }, "disk full"},
		{"name twice", append(one, one...), write(8), "there twice"},
		{"no name", []Spec{{"", tensor.F32, nil}}, write(4), "empty tensor name"},
		{"reserved name", []Spec{{"__metadata__", tensor.F32, nil}}, write(4), "not a name"},
		{"negative shape", []Spec{{"a", tensor.F32, []int{-1}}}, write(4), "negative"},
		{"overflow", []Spec{{"a", tensor.F32, []int{1 << 40, 1 << 40}}}, write(4), "does not fit"},
		{"no format", []Spec{{"a", 0, nil}}, write(4), "no format"},
	} {
		err := WriteSafeTensors(io.Discard, c.specs, c.fill)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestChecked(t *testing.T) {
	const most, fails = 1<<63 - 1, -1
	check := func(want int64) func(int64, error) {
		return func(got int64, err error) {
			t.Helper()
			if (err != nil) != (want == fails) || err == nil && got != want {
				t.Errorf("got %d %v, want %d", got, err, want)
			}
		}
	}
	check(15)(mul(3, 5))
	check(0)(mul(0, most))
	check(most)(mul(most, 1))
	check(fails)(mul(1<<32, 1<<31))
	check(fails)(mul(1<<32, 1<<32)) // 0 in 64 bits
	check(fails)(mul(most, 2))
	check(fails)(mul(-1, 1))
	check(fails)(mul(-1, -1))
	check(most)(add(most, 0))
	check(fails)(add(most, 1))
	check(fails)(add(-1, 1))
	check(fails)(add(1, -1))
	check(1)(product(nil))
	check(0)(product([]int{2, 3, 0}))
	check(fails)(product([]int{0, most, 2}))
	check(fails)(product([]int{1 << 21, 1 << 21, 1 << 21}))
	check(6)(spanBytes(3, 16))
	check(1)(spanBytes(2, 4))
	check(fails)(spanBytes(3, 4))
	check(fails)(spanBytes(1<<60, 8))
}

// TestBitsAgree: package tensor and this one mean the same by a format's name.
func TestBitsAgree(t *testing.T) {
	for _, d := range []tensor.DType{tensor.F32, tensor.F16, tensor.BF16} {
		if got := bitsOf[d.String()]; got != int64(8*d.RowBytes(1)) {
			t.Errorf("%v: %d bits", d, got)
		}
	}
}
