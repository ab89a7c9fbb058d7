package weights

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"llorch/inference/tensor"
)

// TestSieveFindsWhatFiniteFinds: an examination, which searches while it hashes where
// blocks of the hash lie in one tensor, tells the same of a file of tensors of any
// formats and sizes as a plain search of it from its beginning.
func TestSieveFindsWhatFiniteFinds(t *testing.T) {
	formats := []tensor.DType{tensor.F32, tensor.F16, tensor.BF16, tensor.Q8_0, tensor.Q4_K, tensor.Q6_K}
	rapid.Check(t, func(r *rapid.T) {
		var specs []Spec
		for i := range rapid.IntRange(1, 9).Draw(r, "tensors") {
			d := rapid.SampledFrom(formats).Draw(r, "format")
			specs = append(specs, Spec{fmt.Sprint(i), d, []int{rapid.IntRange(1, 6000/d.BlockBytes()).Draw(r, "blocks"), d.Block()}})
		}
		data := written(t, nil, specs...)
		s, err := Open(save(t, t.TempDir(), "m.gguf", data))
		if err != nil {
			t.Fatal(err)
		}
		first := s.tensors[0].Offset
		s.Close()
		for i := first; i < int64(len(data)); i++ {
			data[i] = 0x3b // as many bits of an exponent as a finite number has, or nearly
		}
		for range rapid.IntRange(0, 2).Draw(r, "full") {
			at := first + 2*rapid.Int64Range(0, (int64(len(data))-first)/2-1).Draw(r, "at")
			binary.LittleEndian.PutUint16(data[at:], rapid.SampledFrom([]uint16{0x7c00, 0xfc00, 0x7f80, 0xffff}).Draw(r, "bits"))
		}
		s, err = Open(save(t, t.TempDir(), "m.gguf", data))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		want := finite(&s.Files[0], s.tensorsOf(0), data, 0)
		if _, got := examine(t, s, Checks{Finite: true}); !reflect.DeepEqual(got, want) {
			r.Fatalf("%v, want %v", got, want)
		}
	})
}
