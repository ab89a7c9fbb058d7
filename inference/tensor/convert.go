package tensor

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// piece is how many elements Convert decodes and encodes at a time: a multiple
// of every block, and small enough to stay in the first level of a cache.
const piece = 4096

// Encoder encodes as DType.Encode does, byte for byte, or returns false for a format
// that it does not know and has written nothing. Goroutines may call it at once.
type Encoder func(t DType, dst []byte, src []float32) bool

// Convert writes the elements of src, in format from, to dst in format to, on as
// many goroutines as workers says, at least one. The rows of a tensor have no
// gaps, so that any number of whole rows is one call. A size that is no number of
// whole blocks is a bug of the caller's and panics. It allocates 16 KiB a worker;
// the result depends neither on their number nor on the encoder, which may be nil.
func Convert(dst []byte, to DType, src []byte, from DType, workers int, encode Encoder) {
	n := len(src) / from.BlockBytes() * from.Block()
	if len(src)%from.BlockBytes() != 0 || n%to.Block() != 0 || len(dst) != to.RowBytes(n) {
		panic(fmt.Sprintf("tensor: %d bytes of %v do not become %d bytes of %v", len(src), from, len(dst), to))
	}
	if from == to {
		copy(dst, src)
		return
	}
	pieces := int64((n + piece - 1) / piece)
	var taken atomic.Int64
	work := func() {
		x := make([]float32, min(n, piece))
		for {
			k := taken.Add(1) - 1
			if k >= pieces {
				return
			}
			at, end := int(k)*piece, min(n, int(k+1)*piece)
			x := x[:end-at]
			from.Decode(x, src[from.RowBytes(at):from.RowBytes(end)])
			out := dst[to.RowBytes(at):to.RowBytes(end)]
			if encode == nil || !encode(to, out, x) {
				to.Encode(out, x)
			}
		}
	}
	var others sync.WaitGroup
	for range min(int64(workers), pieces) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}
