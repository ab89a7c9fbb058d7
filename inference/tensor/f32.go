package tensor

import (
	"encoding/binary"
	"math"
)

var f32Format = format{name: "F32", block: 1, blockBytes: 4, decode: decodeF32, encode: encodeF32}

func decodeF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func encodeF32(dst []byte, src []float32) {
	for i, x := range src {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x))
	}
}
