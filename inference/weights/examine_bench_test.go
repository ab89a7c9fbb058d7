package weights

import (
	"testing"

	"github.com/zeebo/xxh3"

	"llorch/inference/tensor"
	"llorch/inference/weights/longhash"
)

// BenchmarkExamine reads 512 MiB of Q8_0 blocks, more than a cache holds, as a load
// checks them, in the one thread that a file has. Beside it are the parts: the sum by
// package longhash, by the library as a stream and in one call, and the search of the scales.
func BenchmarkExamine(b *testing.B) {
	const size = 512 << 20 / 34 * 34
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*7) & 0x3b
	}
	f := &File{Path: "bench", Size: size, mapped: data}
	t := &Tensor{Name: "t", Format: "Q8_0", Type: tensor.Q8_0, Bytes: size}
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
	b.Run("both", func(b *testing.B) {
		r := reader{}
		each(func(from, to int) {
			if from == 0 {
				r = reader{file: f, tensors: []*Tensor{t}, checks: Checks{Finite: true}, long: longhash.New(data), fast: xxh3.New128()}
			}
			if err := r.block(data[from:to], int64(from)); err != nil {
				b.Fatal(err)
			}
		})(b)
	})
	b.Run("sum", func(b *testing.B) {
		h := longhash.New(data)
		if h == nil {
			b.Skip("the library hashes on this host")
		}
		each(func(from, to int) {
			if from == 0 {
				h = longhash.New(data)
			}
			h.UpTo(to)
		})(b)
	})
	b.Run("stream", func(b *testing.B) {
		h := xxh3.New128()
		each(func(from, to int) { _, _ = h.Write(data[from:to]) })(b)
	})
	b.Run("scales", each(func(from, to int) {
		if err := t.finite(f, data[from:to], int64(from)); err != nil {
			b.Fatal(err)
		}
	}))
}
