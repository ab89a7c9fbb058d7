package weights

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"llorch/inference/tensor"
)

// Spec is a tensor to be written.
type Spec struct {
	Name  string
	Type  tensor.DType
	Shape []int // outermost first
}

// Bytes returns the size of the tensor, or an error where it has none.
func (s Spec) Bytes() (int64, error) {
	bits, known := bitsOf[s.Type.String()]
	if !known {
		return 0, fmt.Errorf("weights: tensor %q: SafeTensors has no format %v", s.Name, s.Type)
	}
	elements, err := product(s.Shape)
	if err != nil {
		return 0, fmt.Errorf("weights: tensor %q: shape %v: %w", s.Name, s.Shape, err)
	}
	return spanBytes(elements, bits)
}

// WriteSafeTensors writes a SafeTensors file to w without ever holding more of
// it than a buffer: fill is called once for each tensor, and writes its bytes,
// little-endian and row-major, to the writer it is given. The tensors are laid
// out by falling element size, so that each is aligned to its own; fill is
// called in that order, i counting in the order of tensors.
func WriteSafeTensors(w io.Writer, tensors []Spec, fill func(i int, w io.Writer) error) error {
	order, sizes, err := plan(tensors)
	if err != nil {
		return err
	}
	head, err := encodeHeader(tensors, order, sizes)
	if err != nil {
		return err
	}
	b := newStretches(w)
	if _, err := b.Write(head); err != nil {
		return fmt.Errorf("weights: writing the header: %w", err)
	}
	for _, i := range order {
		c := &counter{w: b, left: sizes[i]}
		if err := fill(i, c); err != nil {
			return fmt.Errorf("weights: writing tensor %q: %w", tensors[i].Name, err)
		}
		if c.left != 0 {
			return fmt.Errorf("weights: tensor %q: %d of its %d bytes were not written", tensors[i].Name, c.left, sizes[i])
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("weights: %w", err)
	}
	return nil
}

// plan returns the order of the tensors in the file and the size of each.
func plan(tensors []Spec) (order []int, sizes []int64, err error) {
	names := make(map[string]bool, len(tensors))
	sizes = make([]int64, len(tensors))
	for i, t := range tensors {
		if reason := badName(t.Name); reason != "" || names[t.Name] || t.Name == "__metadata__" {
			return nil, nil, fmt.Errorf("weights: tensor %q: not a name, or there twice: %s", t.Name, reason)
		}
		names[t.Name] = true
		if sizes[i], err = t.Bytes(); err != nil {
			return nil, nil, err
		}
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(bitsOf[tensors[b].Type.String()], bitsOf[tensors[a].Type.String()])
	})
	return order, sizes, nil
}

// encodeHeader returns the length, the JSON and the spaces that align the data.
func encodeHeader(tensors []Spec, order []int, sizes []int64) ([]byte, error) {
	var b strings.Builder
	b.WriteString(`{"__metadata__":{"format":"pt"}`) // transformers reads no file without it
	var from int64
	for _, i := range order {
		t := tensors[i]
		name, err := json.Marshal(t.Name)
		if err != nil {
			return nil, fmt.Errorf("weights: tensor %q: %w", t.Name, err)
		}
		to, err := add(from, sizes[i])
		if err != nil {
			return nil, fmt.Errorf("weights: tensor %q: %w", t.Name, err)
		}
		shape := strings.ReplaceAll(strings.Trim(fmt.Sprint(t.Shape), "[]"), " ", ",")
		fmt.Fprintf(&b, `,%s:{"dtype":%q,"shape":[%s],"data_offsets":[%d,%d]}`, name, t.Type.String(), shape, from, to)
		from = to
	}
	b.WriteString("}")
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > maxHeader {
		return nil, fmt.Errorf("weights: a header of %d bytes; at most %d are allowed", b.Len(), maxHeader)
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(b.Len())), b.String()...), nil
}

// counter lets exactly left bytes through.
type counter struct {
	w    io.Writer
	left int64
}

func (c *counter) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		return 0, fmt.Errorf("%d bytes more than the tensor takes", int64(len(p))-c.left)
	}
	n, err := c.w.Write(p)
	c.left -= int64(n)
	return n, err
}
