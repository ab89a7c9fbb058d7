package cpu

// #include "llo.h"
import "C"

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

var _ backend.FormatEncoder = (*Device)(nil)

// Encode implements backend.FormatEncoder for Q4_K, Q5_K and Q6_K, in AVX2 and
// AVX-512.
func (d *Device) Encode(t tensor.DType, dst []byte, src []float32) bool {
	return encode(d.kern, t, dst, src)
}

// mostBlocks are encoded in one call: a bit each.
const mostBlocks = 64

func encode(kern *C.llo_kernels, t tensor.DType, dst []byte, src []float32) bool {
	if C.llo_encodes(kern, C.int(t)) == 0 {
		return false
	}
	size, wide := t.BlockBytes(), t.Block()
	dst = dst[:t.RowBytes(len(src))]
	for len(src) > 0 {
		n := min(len(src)/wide, mostBlocks)
		left := C.llo_encode(kern, C.int(t), (*C.uint8_t)(&dst[0]), (*C.float)(&src[0]), C.int64_t(n))
		for b := uint64(left); b != 0; b &= b - 1 {
			k := bits.TrailingZeros64(b)
			t.Encode(dst[k*size:][:size], src[k*wide:][:wide])
		}
		dst, src = dst[n*size:], src[n*wide:]
	}
	return true
}

// testEncode compares the encoders with package tensor, which must agree in every
// byte.
func testEncode(kern *C.llo_kernels) error {
	r := rand.New(rand.NewPCG(3, 5))
	x := make([]float32, 3*256) // no whole number of any vocabulary's turns
	for i := range x {
		x[i] = r.Float32() - 0.4
	}
	for _, t := range []tensor.DType{tensor.Q4_K, tensor.Q5_K, tensor.Q6_K} {
		want, got := make([]byte, t.RowBytes(len(x))), make([]byte, t.RowBytes(len(x)))
		if !encode(kern, t, got, x) {
			continue
		}
		if t.Encode(want, x); !slices.Equal(got, want) {
			return fmt.Errorf("cpu: self-test of %s: blocks of %v are not those that the format asks for: choose another instruction set",
				C.GoString(kern.name), t)
		}
	}
	return nil
}
