package inference

import (
	"fmt"
	"strings"

	"llorch/inference/backend"
	"llorch/inference/convert"
	"llorch/inference/model/llama"
	"llorch/inference/tensor"
)

// QuantizeFormats are the formats that Options.Quantize may name.
var QuantizeFormats = []string{"q8_0", "q4_0", "q4_k_m"}

// quantizable refuses what Options.Quantize cannot be done to.
func (ins *Inspection) quantizable(o Options) error {
	if o.Quantize == "" {
		return nil
	}
	if _, err := convert.ParseTarget(o.Quantize); err != nil {
		return err
	}
	if ins.Source.Meta != nil {
		return fmt.Errorf("%s is a GGUF file, which has its format already: leave --quantize out, or give the SafeTensors folder", ins.Source.Path)
	}
	if _, ok := ins.Config.(*llama.Config); !ok {
		return fmt.Errorf("models of the %s family cannot be quantised", ins.Spec.Architecture)
	}
	opened := backend.Options{Index: o.Index, Threads: o.Threads, ISA: o.ISA}
	for name, d := range ins.formats(o) {
		if !backend.WillCompute(o.Device, opened, d) {
			return fmt.Errorf("tensor %s would be %v, which %s has no kernel for: leave --quantize out", name, d, o.Device)
		}
	}
	return nil
}

// formats are what the matrices become that get another format while loading.
func (ins *Inspection) formats(o Options) map[string]tensor.DType {
	c, ok := ins.Config.(*llama.Config)
	target, err := convert.ParseTarget(o.Quantize)
	if o.Quantize == "" || err != nil || !ok || ins.Source.Meta != nil {
		return nil
	}
	return target.Formats(c, ins.Source)
}

// quant is the kind of weights that are served.
func (ins *Inspection) quant(o Options) string {
	if o.Quantize != "" {
		return strings.ToUpper(o.Quantize)
	}
	return ins.Quant()
}
