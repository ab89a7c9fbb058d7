package weights

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"llorch/inference/tensor"
)

func TestWriteGGUFRefused(t *testing.T) {
	one := []Spec{{"t", tensor.F32, []int{4}}}
	for _, c := range []struct {
		reason  string
		pairs   []Pair
		tensors []Spec
		bytes   int // that fill writes
	}{
		{"no key, or there twice", []Pair{{"a", "x"}, {"a", "x"}}, nil, 0},
		{"no key", []Pair{{"", "x"}}, nil, 0},
		{"no values of type int", []Pair{{"a", 1}}, nil, 0},
		{"no values of type struct {}", []Pair{{"a", struct{}{}}}, nil, 0},
		{"no values of type <nil>", []Pair{{"a", nil}}, nil, 0},
		{"no power of two", []Pair{{alignmentKey, uint32(24)}}, nil, 0},
		{"no power of two", []Pair{{alignmentKey, "32"}}, nil, 0},
		{"not a name", nil, []Spec{{"", tensor.F32, []int{4}}}, 16},
		{"there twice", nil, append(one, one...), 16},
		{"GGUF has no format DType(0)", nil, []Spec{{"t", 0, []int{4}}}, 16},
		{"1 to 4 dimensions", nil, []Spec{{"t", tensor.F32, nil}}, 4},
		{"1 to 4 dimensions", nil, []Spec{{"t", tensor.F32, []int{1, 1, 1, 1, 1}}}, 4},
		{"1 to 4 dimensions", nil, []Spec{{"t", tensor.F32, []int{0}}}, 0},
		{"no whole blocks", nil, []Spec{{"t", tensor.Q6_K, []int{4, 64}}}, 0},
		{"does not fit 63 bits", nil, []Spec{{"t", tensor.F32, []int{1 << 31, 1 << 31}}}, 0},
		{"a header of", []Pair{{"a", strings.Repeat("x", maxHeader)}}, nil, 0},
		{"4 of its 16 bytes were not written", nil, one, 12},
		{"4 bytes more than the tensor takes", nil, one, 20},
	} {
		err := WriteGGUF(io.Discard, c.pairs, c.tensors, func(_ int, w io.Writer) error {
			_, err := w.Write(make([]byte, c.bytes))
			return err
		})
		if err == nil || !strings.Contains(err.Error(), c.reason) || !strings.HasPrefix(err.Error(), "weights: ") {
			t.Errorf("%v, want %s", err, c.reason)
		}
	}
}

func TestWriteGGUFFails(t *testing.T) {
	broken := errors.New("broken")
	err := WriteGGUF(io.Discard, nil, []Spec{{"t", tensor.F32, []int{4}}}, func(int, io.Writer) error { return broken })
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	for room := range 130 { // the disk is full, at every byte
		err := WriteGGUF(&full{room}, []Pair{{"a", "x"}}, []Spec{{"t", tensor.F32, []int{4}}}, func(_ int, w io.Writer) error {
			_, err := w.Write(make([]byte, 16))
			return err
		})
		if want := room < 128; errors.Is(err, errFull) != want {
			t.Fatalf("room for %d: %v", room, err)
		}
	}
}

var errFull = errors.New("full")

// full is a disk with room for so many bytes.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	if f.room -= n; n < len(p) {
		return n, errFull
	}
	return n, nil
}

// TestWriteGGUFIsStable: the same input gives the same bytes.
func TestWriteGGUFIsStable(t *testing.T) {
	specs := []Spec{{"t", tensor.Q8_0, []int{2, 32}}, {"u", tensor.F32, []int{3}}}
	if a, b := written(t, allKinds, specs...), written(t, allKinds, specs...); !bytes.Equal(a, b) {
		t.Error("two files differ")
	}
}
