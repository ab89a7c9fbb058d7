package tensor

import (
	"fmt"
	"unsafe"
)

// DType is a number format. The zero value is no format at all, so that an
// unset field is noticed.
type DType uint8

const (
	F32  DType = iota + 1 // IEEE 754 binary32
	F16                   // IEEE 754 binary16
	BF16                  // the upper half of a binary32

	// Blocks of integers with scales, as GGUF files have them. The block
	// definitions are those of the GGUF specification; each file of this package
	// repeats its own.
	Q4_0
	Q4_1
	Q5_0
	Q5_1
	Q8_0
	Q2_K
	Q3_K
	Q4_K
	Q5_K
	Q6_K
)

// format is what one file of this package says about one number format.
type format struct {
	name       string
	block      int // elements in one block; 1 for the unblocked formats
	blockBytes int // bytes of one block
	decode     func(dst []float32, src []byte)
	encode     func(dst []byte, src []float32)
}

var formats = [...]format{
	F32: f32Format, F16: f16Format, BF16: bf16Format,
	Q4_0: {name: "Q4_0", block: 32, blockBytes: 18}, Q4_1: {name: "Q4_1", block: 32, blockBytes: 20},
	Q5_0: {name: "Q5_0", block: 32, blockBytes: 22}, Q5_1: {name: "Q5_1", block: 32, blockBytes: 24},
	Q8_0: {name: "Q8_0", block: 32, blockBytes: 34},
	Q2_K: {name: "Q2_K", block: 256, blockBytes: 84}, Q3_K: {name: "Q3_K", block: 256, blockBytes: 110},
	Q4_K: {name: "Q4_K", block: 256, blockBytes: 144}, Q5_K: {name: "Q5_K", block: 256, blockBytes: 176},
	Q6_K: {name: "Q6_K", block: 256, blockBytes: 210},
}

func (d DType) known() bool { return int(d) < len(formats) && formats[d].block > 0 }

// Known tells whether d is a format at all.
func (d DType) Known() bool { return d.known() }

// String returns the SafeTensors spelling: "F32", "F16", "BF16".
func (d DType) String() string {
	if !d.known() {
		return fmt.Sprintf("DType(%d)", uint8(d))
	}
	return formats[d].name
}

// Parse returns the format of a SafeTensors spelling.
func Parse(name string) (DType, bool) {
	for d := range formats {
		if formats[d].block > 0 && formats[d].name == name {
			return DType(d), true
		}
	}
	return 0, false
}

// Block returns the elements of one block; a row's length is a multiple of it.
func (d DType) Block() int { return formats[d].block }

// BlockBytes returns the bytes of one block.
func (d DType) BlockBytes() int { return formats[d].blockBytes }

// RowBytes returns the bytes of a row of cols elements. cols must be a multiple
// of Block; sizes that come from a file are checked before they get here.
func (d DType) RowBytes(cols int) int {
	return cols / formats[d].block * formats[d].blockBytes
}

// Decode writes the len(dst) elements of src to dst; src holds
// RowBytes(len(dst)) bytes.
func (d DType) Decode(dst []float32, src []byte) { formats[d].decode(dst, src) }

// Encode writes src to dst, rounding to nearest even; dst holds
// RowBytes(len(src)) bytes.
func (d DType) Encode(dst []byte, src []float32) { formats[d].encode(dst, src) }

// Tensor is a matrix in the memory of one device: Rows rows of Cols elements
// each, without gaps. Data is an address of that device, which the host may
// read only where the device says that its memory is host memory. A Tensor is
// a view: it owns nothing and is copied freely.
type Tensor struct {
	Type       DType
	Rows, Cols int
	Data       unsafe.Pointer
}

// Bytes returns the size of t.
func (t Tensor) Bytes() int { return t.Rows * t.Type.RowBytes(t.Cols) }

// RowBytes returns the distance in bytes from one row to the next.
func (t Tensor) RowBytes() int { return t.Type.RowBytes(t.Cols) }

// Slice returns rows [from, to) of t.
func (t Tensor) Slice(from, to int) Tensor {
	if from < 0 || to < from || to > t.Rows {
		panic(fmt.Sprintf("tensor: rows [%d,%d) of %d", from, to, t.Rows))
	}
	t.Data = unsafe.Add(t.Data, from*t.RowBytes())
	t.Rows = to - from
	return t
}

// Reshape returns the same elements as rows×cols.
func (t Tensor) Reshape(rows, cols int) Tensor {
	if rows*cols != t.Rows*t.Cols {
		panic(fmt.Sprintf("tensor: %d×%d is not %d×%d", rows, cols, t.Rows, t.Cols))
	}
	t.Rows, t.Cols = rows, cols
	return t
}

// Host returns the bytes of a tensor in host memory.
func (t Tensor) Host() []byte { return unsafe.Slice((*byte)(t.Data), t.Bytes()) }

// Float32s returns an F32 tensor in host memory as a slice of Rows·Cols.
func (t Tensor) Float32s() []float32 {
	if t.Type != F32 {
		panic("tensor: Float32s of " + t.Type.String())
	}
	return unsafe.Slice((*float32)(t.Data), t.Rows*t.Cols)
}

func (t Tensor) String() string { return fmt.Sprintf("%v[%d×%d]", t.Type, t.Rows, t.Cols) }
