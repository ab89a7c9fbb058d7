package llama

import (
	"fmt"
	"math"
	"runtime"

	"llorch/inference/backend"
	"llorch/inference/model"
	"llorch/inference/tensor"
	"llorch/inference/weights"
)

var _ model.Config = (*Config)(nil)

// Spec implements model.Config.
func (c *Config) Spec() model.Spec {
	return model.Spec{
		Architecture: c.Architecture, Vocab: c.Vocab, Hidden: c.Hidden, FFN: c.FFN, Layers: c.Layers,
		Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim, MaxPositions: c.MaxPositions,
		TiedHead: c.TiedEmbeddings, BOS: c.BOS, EOS: c.EOS, Warnings: c.Warnings,
	}
}

// scratch holds the activations of the largest step, all F32. Some lie in the same
// memory: an op may write one of them only when the other has been read for the last time.
type scratch struct {
	x, h         backend.Tensor // [rows × hidden]: the residual stream, its norm
	qkv, att     backend.Tensor // [rows × (Q+2·KV)·dim], [rows × Q·dim]
	gateUp, ffn  backend.Tensor // [rows × 2·F], [rows × F]
	last, logits backend.Tensor // [logits × hidden], [logits × vocab]
	chosen       backend.Tensor // [logits × Q·dim]: att of the rows whose logits are wanted
}

// room is memory for a step's activations.
type room struct {
	rows    int
	tensors []columns // all of them begin where the room does
}

type columns struct {
	t *backend.Tensor
	n int
}

// rooms lists the memory that scratch lies in. Attention reads what the norm made for
// the last time before it writes, and the feed-forward is between the uses of qkv. Devices
// take memory of their own by the width of what an op multiplies: such tensors share a room
// only where they are as wide.
func (s *scratch) rooms(c *Config, l model.Limits) []room {
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	norm, all := []columns{{&s.h, c.Hidden}}, []room{
		{l.Rows, []columns{{&s.x, c.Hidden}}},
		{l.Rows, []columns{{&s.qkv, q + 2*kv}, {&s.gateUp, 2 * c.FFN}}}, {l.Rows, []columns{{&s.ffn, c.FFN}}},
		{l.Logits, []columns{{&s.last, c.Hidden}}}, {l.Logits, []columns{{&s.logits, c.Vocab}}},
		{l.Logits, []columns{{&s.chosen, q}}},
	}
	att := columns{&s.att, q}
	if q == c.Hidden {
		return append(all, room{l.Rows, append(norm, att)})
	}
	return append(all, room{l.Rows, norm}, room{l.Rows, []columns{att}})
}

// width is that of the widest tensor in the room.
func (r room) width() (most int) {
	for _, c := range r.tensors {
		most = max(most, c.n)
	}
	return most
}

// view returns the scratch of a step of rows rows and logits logits rows.
func (s *scratch) view(rows, logits int) scratch {
	return scratch{
		x: s.x.Slice(0, rows), h: s.h.Slice(0, rows), qkv: s.qkv.Slice(0, rows), att: s.att.Slice(0, rows),
		gateUp: s.gateUp.Slice(0, rows), ffn: s.ffn.Slice(0, rows),
		last: s.last.Slice(0, logits), logits: s.logits.Slice(0, logits), chosen: s.chosen.Slice(0, logits),
	}
}

// Scratch implements model.Config: activations and the table of rotations.
func (c *Config) Scratch(l model.Limits) int64 {
	var s scratch
	n := int64(l.Positions) * int64(c.RotaryDim) * 4
	for _, r := range s.rooms(c, l) {
		n += int64(r.rows) * int64(r.width()) * 4
	}
	return n
}

// Load implements model.Config.
func (c *Config) Load(d backend.Device, s *weights.Source, l model.Limits) (model.Model, error) {
	p, names := placer{d: d, s: s, formats: l.Formats, placed: l.Placed, later: l.Later}, c.layout()
	m := &Model{dev: d, eps: c.NormEps}
	m.embed = p.tensor(names.embed)
	m.norm = p.tensor(names.norm)
	if m.head = (backend.Linear{{W: m.embed}}); !c.TiedEmbeddings {
		m.head = p.linear(names.head, false)
	}
	for i := range c.Layers {
		m.layers = append(m.layers, c.layer(&p, i))
	}
	for _, r := range m.scratch.rooms(c, l) {
		memory := p.alloc(r.rows, r.width())
		for _, c := range r.tensors {
			*c.t = memory
			c.t.Cols = c.n
		}
	}
	m.rope = p.rope(c, l.Positions)
	if p.err != nil {
		return nil, fmt.Errorf("llama: %w", p.err)
	}
	return m, nil
}

func (c *Config) layer(p *placer, i int) layer {
	n := c.layout().layer(i)
	l := layer{
		heads:    c.heads(i),
		attnNorm: p.tensor(n.AttnNorm), ffnNorm: p.tensor(n.FFNNorm),
		wqkv:    p.stack(c.QKVBias, c.qkv(n)...),
		wo:      p.linear(n.O, c.OutputBias),
		wGateUp: p.stack(c.MLPBias, c.gateUp(n)...),
		wDown:   p.linear(n.Down, c.MLPBias),
	}
	if c.QKNorm {
		l.qNorm, l.kNorm = p.tensor(n.QNorm), p.tensor(n.KNorm)
	}
	return l
}

func (c *Config) heads(i int) backend.Heads {
	h := backend.Heads{Q: c.Heads, KV: c.KVHeads, Dim: c.HeadDim, Scale: float32(1 / math.Sqrt(float64(c.HeadDim)))}
	if i < len(c.Windows) {
		h.Window = c.Windows[i]
	}
	return h
}

// placer places tensors by name until the first error, which it keeps.
type placer struct {
	d       backend.Device
	s       *weights.Source
	formats map[string]tensor.DType               // of matrices that are converted
	placed  func(bytes int64) error               // nil: nobody asks
	later   func(*weights.Tensor, backend.Tensor) // nil: a weight is there when it is placed
	err     error
}

// tensor places a matrix, or a vector as one row.
func (p *placer) tensor(name string) backend.Tensor {
	t, ok := p.s.Tensor(name)
	if p.err != nil || !ok {
		if p.err == nil {
			p.err = fmt.Errorf("tensor %s is missing", name) // Check has seen it
		}
		return backend.Tensor{}
	}
	rows, cols := 1, t.Shape[0]
	if len(t.Shape) == 2 {
		rows, cols = t.Shape[0], t.Shape[1]
	}
	to, convert := p.formats[name]
	if !convert && len(t.Shape) == 2 && !backend.Computes(p.d, t.Type) {
		// What the device cannot multiply with becomes float32, which is what
		// package tensor decodes every format to. A narrower format would round: the
		// product of a half and six bits has more bits than bfloat16 or a half keep.
		to, convert = tensor.F32, true
	}
	var placed backend.Tensor
	var err error
	switch {
	case convert:
		placed, err = p.convert(t, rows, cols, to)
	case p.later != nil:
		if placed, err = p.d.Alloc(backend.Weights, t.Type, rows, cols); err == nil {
			p.later(t, placed)
		}
	default:
		placed, err = p.d.Place(t.Type, rows, cols, t.Data)
	}
	if err != nil {
		p.err = fmt.Errorf("tensor %s: %w", name, err)
	}
	return placed
}

// convertBytes bounds what is converted at once: copies on the host are in no
// memory plan.
const convertBytes = 2 << 20

// convert gives the device a matrix in another format than the file has. The file
// is read, not the mapping, so that a lost page is an error; the mapping's pages
// are given back, as nobody will read them.
func (p *placer) convert(t *weights.Tensor, rows, cols int, to tensor.DType) (backend.Tensor, error) {
	m, err := p.d.Alloc(backend.Weights, to, rows, cols)
	if err != nil {
		return m, err
	}
	encode := backend.Encoder(p.d)
	step := min(rows, max(1, convertBytes/tensor.F32.RowBytes(cols)))
	in, out := make([]byte, step*t.Type.RowBytes(cols)), make([]byte, step*to.RowBytes(cols))
	for from := 0; from < rows; from += step {
		n := min(step, rows-from)
		in, out := in[:n*t.Type.RowBytes(cols)], out[:n*to.RowBytes(cols)]
		if err := p.s.ReadTensor(t, in, int64(from)*int64(t.Type.RowBytes(cols))); err != nil {
			return m, err
		}
		tensor.Convert(out, to, in, t.Type, runtime.GOMAXPROCS(0), encode)
		if err := weights.Spoiled(to, out); err != nil {
			return m, fmt.Errorf("rows %d to %d: %w", from, from+n-1, err)
		}
		p.d.Upload(m.Slice(from, from+n), out)
		if p.placed != nil {
			if err := p.placed(int64(len(in))); err != nil {
				return m, err
			}
		}
	}
	p.s.Release(t)
	return m, nil
}

// linear places one projection: NAME.weight and, with bias, NAME.bias.
func (p *placer) linear(name string, bias bool) backend.Linear { return p.stack(bias, name) }

// stack places several projections of one input, one below the other.
func (p *placer) stack(bias bool, names ...string) backend.Linear {
	var l backend.Linear
	for _, n := range names {
		part := backend.Part{W: p.tensor(n + ".weight")}
		if bias {
			part.B = p.tensor(n + ".bias")
		}
		l = append(l, part)
	}
	return l
}

func (p *placer) alloc(rows, cols int) backend.Tensor {
	if p.err != nil {
		return backend.Tensor{}
	}
	t, err := p.d.Alloc(backend.Scratch, tensor.F32, rows, cols)
	if err != nil {
		p.err = err
	}
	return t
}

// ropeBlock is how many positions are made at once: copies on the host are in no
// memory plan, so they are kept small.
const ropeBlock = 1024

// rope uploads the table of rotations.
func (p *placer) rope(c *Config, positions int) backend.Rope {
	freq := c.InvFreq(positions)
	r := backend.Rope{Cos: p.alloc(positions, len(freq)), Sin: p.alloc(positions, len(freq)), Interleaved: c.Interleaved}
	host := make([]byte, tensor.F32.RowBytes(min(positions, ropeBlock)*len(freq)))
	for from := 0; from < positions && p.err == nil; from += ropeBlock {
		to := min(from+ropeBlock, positions)
		cos, sin := c.ropeRows(freq, from, to)
		for _, x := range []struct {
			t    backend.Tensor
			vals []float32
		}{{r.Cos, cos}, {r.Sin, sin}} {
			rows := host[:tensor.F32.RowBytes(len(x.vals))]
			tensor.F32.Encode(rows, x.vals)
			p.d.Upload(x.t.Slice(from, to), rows)
		}
	}
	return r
}
