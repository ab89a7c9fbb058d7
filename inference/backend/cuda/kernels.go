package cuda

import (
	"fmt"

	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// kernels are the functions of the embedded modules by name.
type kernels struct {
	modules   []driver.Module
	functions map[string]driver.Function
	linear    map[tensor.DType]driver.Function
	attend    map[tensor.DType]driver.Function
	decode    map[attendKind]driver.Function
	prefill   map[attendKind]prefillKernel

	embed, rows, rmsNorm, headNorm, swiglu, ropeStore driver.Function
}

// loadKernels loads images by name, that of their source, into the current context.
func loadKernels(drv driver.Driver, images map[string]string) (*kernels, error) {
	k := &kernels{functions: map[string]driver.Function{}, linear: map[tensor.DType]driver.Function{}, attend: map[tensor.DType]driver.Function{}}
	for _, list := range []struct {
		image string
		names map[string]*driver.Function
	}{
		{"rows", map[string]*driver.Function{"embed": &k.embed, "rows": &k.rows, "rms_norm": &k.rmsNorm, "head_norm": &k.headNorm, "swiglu": &k.swiglu}},
		{"attention", map[string]*driver.Function{"rope_store": &k.ropeStore}},
		{"linear", nil},
	} {
		m, err := drv.ModuleLoad(images[list.image])
		if err != nil {
			return k, fmt.Errorf("cuda: kernels of %s: %w", list.image, err)
		}
		k.modules = append(k.modules, m)
		for name, f := range list.names {
			if *f, err = drv.ModuleFunction(m, name); err != nil {
				return k, fmt.Errorf("cuda: kernel %s: %w", name, err)
			}
		}
		for t := tensor.F32; t.Known(); t++ {
			if list.image == "linear" {
				k.linear[t], err = drv.ModuleFunction(m, "linear_"+t.String())
			} else if list.image == "attention" && (t <= tensor.BF16 || t == tensor.Q8_0) {
				k.attend[t], err = drv.ModuleFunction(m, "attend_"+t.String())
			}
			if err != nil {
				return k, fmt.Errorf("cuda: kernel of %s for %v: %w", list.image, t, err)
			}
		}
	}
	return k, k.loadAttend(drv, images)
}
