package convert

import (
	"fmt"
	"strings"

	"llorch/inference/model/llama"
	"llorch/inference/tensor"
	"llorch/inference/weights"
)

// Target is a format that a whole file can have.
type Target struct {
	Name     string       // "q4_k_m"
	FileType uint32       // general.file_type
	matrix   tensor.DType // of all matrices but those below
	head     tensor.DType // 0 = matrix
	mixed    bool         // some layers keep attn_v and ffn_down in Q6_K
}

// Targets are all there are.
var Targets = []Target{
	{"f32", 0, tensor.F32, 0, false},
	{"f16", 1, tensor.F16, 0, false},
	{"bf16", 32, tensor.BF16, 0, false},
	{"q8_0", 7, tensor.Q8_0, 0, false},
	{"q4_0", 2, tensor.Q4_0, tensor.Q6_K, false},
	{"q4_k_m", 15, tensor.Q4_K, tensor.Q6_K, true},
}

// ParseTarget returns the target of that name, in upper or lower case.
func ParseTarget(name string) (Target, error) {
	for _, t := range Targets {
		if strings.EqualFold(t.Name, name) {
			return t, nil
		}
	}
	return Target{}, fmt.Errorf("convert: format %.40q is not one of %s", name, strings.Join(Names(), ", "))
}

// Names lists the names of all targets.
func Names() []string {
	var names []string
	for _, t := range Targets {
		names = append(names, t.Name)
	}
	return names
}

// Quantized tells whether matrices become blocks of integers.
func (t Target) Quantized() bool { return t.matrix.Block() > 1 }

// Formats are the matrices of a SafeTensors model that the target gives another
// format than they have, by name.
func (t Target) Formats(c *llama.Config, s *weights.Source) map[string]tensor.DType {
	formats := map[string]tensor.DType{}
	for _, e := range c.Exports() {
		x, ok := s.Tensor(e.Source)
		if !ok || len(x.Shape) != 2 {
			continue
		}
		if d := t.Format(e, x.Shape[1], c.Layers); d != x.Type {
			formats[e.Source] = d
		}
	}
	return formats
}

// Format is what a tensor of rows of cols elements is written in, of a model of so
// many layers.
func (t Target) Format(e llama.Export, cols, layers int) tensor.DType {
	d := t.matrix
	switch {
	case e.Role == llama.Vector:
		return tensor.F32
	case e.Role == llama.Head && t.head != 0:
		d = t.head
	case t.mixed && (e.Role == llama.Value || e.Role == llama.Down) && moreBits(e.Layer, layers):
		d = tensor.Q6_K
	}
	return fitting(d, cols)
}

// moreBits are the layers whose errors cost most.
func moreBits(layer, layers int) bool {
	eighth := layers / 8
	return layer < eighth || layer >= 7*layers/8 || (layer-eighth)%3 == 2
}

// fitting is d, or the next format that rows of cols elements can have.
func fitting(d tensor.DType, cols int) tensor.DType {
	for cols%d.Block() != 0 {
		switch d {
		case tensor.Q4_K:
			d = tensor.Q5_0
		case tensor.Q6_K:
			d = tensor.Q8_0
		default:
			return tensor.F16
		}
	}
	return d
}
