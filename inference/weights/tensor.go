package weights

import "llorch/inference/tensor"

// Tensor says where one tensor lies.
type Tensor struct {
	Name   string
	Type   tensor.DType // 0 where package tensor cannot compute with Format
	Format string       // the file's own spelling: "BF16", "F8_E4M3", …
	Shape  []int        // outermost first; row-major
	File   int          // index into Source.Files
	Offset int64        // of its first byte in that file
	Bytes  int64
	Data   []byte // its bytes in the mapping, nil until Map; see the package about reading them
}

// Elements is the number of elements of t.
func (t *Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= int64(d)
	}
	return n
}
