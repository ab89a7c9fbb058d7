package convert

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"llorch/inference/model/llama"
	"llorch/inference/tensor"
	"llorch/inference/tokenize"
	"llorch/inference/weights"
)

// Model is what is converted. Config must be checked against Source.
type Model struct {
	Name       string // general.name
	Source     *weights.Source
	Config     *llama.Config
	Vocabulary tokenize.GGUF
	Encode     tensor.Encoder // may be nil
}

// Write writes m to w. progress, which may be nil, is told how many bytes of the
// source have been read. It stops when ctx ends.
func (m Model) Write(ctx context.Context, w io.Writer, t Target, progress func(done, total int64)) error {
	if m.Source.Meta != nil {
		return fmt.Errorf("convert: %s is a GGUF file already; give the SafeTensors folder of the model", m.Source.Path)
	}
	pairs, err := m.pairs(t)
	if err != nil {
		return err
	}
	c := conversion{ctx: ctx, source: m.Source, encode: m.Encode, progress: progress}
	exports := m.Config.Exports()
	specs := make([]weights.Spec, len(exports))
	for i, e := range exports {
		if specs[i], err = c.spec(e, t, m.Config.Layers); err != nil {
			return err
		}
	}
	err = weights.WriteGGUF(w, pairs, specs, func(i int, w io.Writer) error { return c.tensor(w, exports[i], specs[i].Type) })
	if err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return nil
}

// pairs are all keys of the file.
func (m Model) pairs(t Target) ([]weights.Pair, error) {
	pairs, err := m.Config.Metadata()
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	pairs = append(pairs,
		weights.Pair{Key: "general.name", Value: m.Name},
		weights.Pair{Key: "general.file_type", Value: t.FileType},
		weights.Pair{Key: "general.quantization_version", Value: uint32(2)}) // of the block definitions
	return append(pairs, vocabularyPairs(m.Vocabulary, m.Config)...), nil
}

// conversion is one on its way.
type conversion struct {
	ctx         context.Context
	source      *weights.Source
	encode      tensor.Encoder
	progress    func(done, total int64)
	done, total int64
	in, out     []byte
	values      []byte // rows in the order of the file that is written
}

// spec describes a tensor of the file.
func (c *conversion) spec(e llama.Export, t Target, layers int) (weights.Spec, error) {
	if e.Source == "" {
		return weights.Spec{Name: e.Name, Type: tensor.F32, Shape: []int{len(e.Values)}}, nil
	}
	x, ok := c.source.Tensor(e.Source)
	if !ok || x.Type == 0 || len(x.Shape) == 0 {
		return weights.Spec{}, fmt.Errorf("convert: tensor %s: missing, or of a format that is not supported", e.Source)
	}
	c.total += x.Bytes
	return weights.Spec{Name: e.Name, Type: t.Format(e, x.Shape[len(x.Shape)-1], layers), Shape: x.Shape}, nil
}

// chunkBytes is about how much of a tensor is read at once.
const chunkBytes = 4 << 20

// tensor writes the bytes of one tensor in format to.
func (c *conversion) tensor(w io.Writer, e llama.Export, to tensor.DType) error {
	if e.Source == "" {
		c.out = grown(c.out, to.RowBytes(len(e.Values)))
		to.Encode(c.out, e.Values)
		_, err := w.Write(c.out)
		return err
	}
	x, _ := c.source.Tensor(e.Source) // spec has seen it
	rows, cols := 1, x.Shape[0]
	if len(x.Shape) == 2 {
		rows, cols = x.Shape[0], x.Shape[1]
	}
	unit := 1 // rows that stay together
	if e.HeadDim > 0 {
		if unit = e.HeadDim; len(x.Shape) == 1 { // a bias: its elements are the rows
			rows, cols = cols, 1
		}
	}
	rowBytes := x.Type.RowBytes(cols)
	step := max(1, chunkBytes/rowBytes/unit) * unit
	for from := 0; from < rows; from += step {
		n := min(step, rows-from)
		if err := c.chunk(w, x, e, to, int64(from)*int64(rowBytes), n, rowBytes); err != nil {
			return err
		}
	}
	return nil
}

// chunk converts n rows that begin at byte off of x.
func (c *conversion) chunk(w io.Writer, x *weights.Tensor, e llama.Export, to tensor.DType, off int64, n, rowBytes int) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.in = grown(c.in, n*rowBytes)
	if err := c.source.ReadTensor(x, c.in, off); err != nil {
		return err
	}
	rows := c.in
	if e.HeadDim > 0 {
		c.values = grown(c.values, len(rows))
		interleave(c.values, rows, e.HeadDim, rowBytes)
		rows = c.values
	}
	elements := len(rows) / x.Type.BlockBytes() * x.Type.Block()
	c.out = grown(c.out, to.RowBytes(elements))
	tensor.Convert(c.out, to, rows, x.Type, runtime.GOMAXPROCS(0), c.encode)
	if err := weights.Spoiled(to, c.out); err != nil {
		return fmt.Errorf("tensor %s: %w", x.Name, err)
	}
	if _, err := w.Write(c.out); err != nil {
		return err
	}
	if c.done += int64(len(rows)); c.progress != nil {
		c.progress(c.done, c.total)
	}
	return nil
}

// interleave reorders the rows of each head so that those that are rotated
// together, j and j+dim/2, become neighbours.
func interleave(dst, src []byte, dim, rowBytes int) {
	head := dim * rowBytes
	for at := 0; at < len(src); at += head {
		for j := range dim / 2 {
			for s := range 2 {
				copy(dst[at+(2*j+s)*rowBytes:][:rowBytes], src[at+(s*dim/2+j)*rowBytes:])
			}
		}
	}
}

func grown(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
