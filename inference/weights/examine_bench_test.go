package weights

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/zeebo/xxh3"

	"llorch/inference/tensor"
	"llorch/inference/weights/longhash"
)

// BenchmarkExamine reads 512 MiB of Q8_0 blocks, more than a cache holds, as a load
// checks them, in one goroutine and in one a processor. Beside it are the parts, in one:
// the sum by package longhash and by the library, and the search of the scales.
func BenchmarkExamine(b *testing.B) {
	const size = 512 << 20 / 34 * 34
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*7) & 0x3b
	}
	t := Tensor{Name: "t", Format: "Q8_0", Type: tensor.Q8_0, Bytes: size}
	s := &Source{Files: []File{{Path: "bench", Size: size, mapped: data}}, tensors: []Tensor{t}}
	all := s.tensorsOf(0)
	for processors := 1; processors <= runtime.NumCPU(); processors *= 2 {
		b.Run(fmt.Sprint("whole", processors), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
			b.SetBytes(size)
			for b.Loop() {
				x := s.Examine(b.Context(), Checks{Finite: true})
				if err := x.arrived(Span{0, 0, size}); err != nil {
					b.Fatal(err)
				}
				x.ended.Wait()
				if _, err := x.turns[0].end(s.Files[0]); err != nil || x.err() != nil {
					b.Fatal(err, x.err())
				}
			}
		})
	}
	each := func(read func(from, to int)) func(*testing.B) {
		return func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				for at := 0; at < size; at += examineBlock {
					read(at, min(at+examineBlock, size))
				}
			}
		}
	}
	b.Run("sum", func(b *testing.B) {
		h := longhash.New(data)
		if h == nil {
			b.Skip("the library hashes on this host")
		}
		var sums []longhash.Sum
		each(func(from, to int) {
			if from == 0 {
				h = longhash.New(data)
			}
			sums = h.Blocks(sums[:0], from, to)
			h.Join(sums)
		})(b)
	})
	b.Run("stream", func(b *testing.B) {
		h := xxh3.New128()
		each(func(from, to int) { _, _ = h.Write(data[from:to]) })(b)
	})
	b.Run("scales", each(func(from, to int) {
		if err := finite(&s.Files[0], all, data[from:to], int64(from)); err != nil {
			b.Fatal(err)
		}
	}))
}
