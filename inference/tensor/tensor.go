package tensor

import (
	"fmt"
	"strings"
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
	block      int   // elements in one block; 1 for the unblocked formats
	blockBytes int   // bytes of one block
	scales     []int // offsets in a block of its binary16 scales; one that is no finite number makes all elements none
	decode     func(dst []float32, src []byte)
	encode     func(dst []byte, src []float32)
}

var formats = [...]format{
	F32: f32Format, F16: f16Format, BF16: bf16Format,
	Q4_0: q4_0Format, Q4_1: q4_1Format, Q5_0: q5_0Format, Q5_1: q5_1Format, Q8_0: q8_0Format,
	Q2_K: q2_KFormat, Q3_K: q3_KFormat, Q4_K: q4_KFormat, Q5_K: q5_KFormat, Q6_K: q6_KFormat,
}

// Known reports whether d is one of the formats above.
func (d DType) Known() bool { return int(d) < len(formats) && formats[d].block > 0 }

// String returns the name that SafeTensors or GGUF files have for d: "BF16",
// "Q4_K".
func (d DType) String() string {
	if !d.Known() {
		return fmt.Sprintf("DType(%d)", uint8(d))
	}
	return formats[d].name
}

// Parse returns the format of a SafeTensors spelling: "F32", "F16", "BF16". A
// SafeTensors file has no blocked formats.
func Parse(name string) (DType, bool) {
	for d := F32; d <= BF16; d++ {
		if formats[d].name == name {
			return d, true
		}
	}
	return 0, false
}

// ParseName returns the format of that name, blocked ones too, in upper or lower
// case, as people write them.
func ParseName(name string) (DType, bool) {
	for d := F32; d.Known(); d++ {
		if strings.EqualFold(formats[d].name, name) {
			return d, true
		}
	}
	return 0, false
}

// Block returns the elements of one block; a row's length is a multiple of it.
func (d DType) Block() int { return formats[d].block }

// Scales returns where in a block its binary16 scales lie, nil for a format
// without. A scale that is no finite number makes no number of any element.
func (d DType) Scales() []int { return formats[d].scales }

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

// Encode writes src to dst, which holds RowBytes(len(src)) bytes. The unblocked
// formats round to nearest even; the blocked ones say how in their own files. A
// block with a NaN or an infinity in it decodes to NaN throughout, and one beyond
// the range of its f16 scale to what is not finite.
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
