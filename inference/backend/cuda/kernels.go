package cuda

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"llorch/inference/backend/cuda/driver"
)

var errNoKernel = errors.New("no kernel")

// Kernels are the modules of a context. A kernel is found by its name alone: no
// two files of kernels/ have one of the same name.
type Kernels struct {
	d       driver.Driver
	modules map[string]driver.Module // by the file's name
}

// LoadKernels loads images, by the file's name without ending, into the current
// context. On an error nothing stays loaded.
func LoadKernels(d driver.Driver, images map[string]string) (*Kernels, error) {
	k := &Kernels{d: d, modules: map[string]driver.Module{}}
	for _, name := range slices.Sorted(maps.Keys(images)) {
		m, err := d.ModuleLoad(images[name])
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cuda: load the kernels of %s.cu: %w", name, err), k.Close())
		}
		k.modules[name] = m
	}
	return k, nil
}

// Function finds a kernel.
func (k *Kernels) Function(name string) (driver.Function, error) {
	for _, file := range slices.Sorted(maps.Keys(k.modules)) {
		f, err := k.d.ModuleFunction(k.modules[file], name)
		if driver.Code(err) == driver.CodeNotFound {
			continue
		}
		return f, err
	}
	return 0, fmt.Errorf("cuda: %w %s in %s", errNoKernel, name, strings.Join(slices.Sorted(maps.Keys(k.modules)), ", "))
}

// Close unloads everything.
func (k *Kernels) Close() error {
	var err error
	for _, name := range slices.Sorted(maps.Keys(k.modules)) {
		err = errors.Join(err, k.d.ModuleUnload(k.modules[name]))
	}
	clear(k.modules)
	return err
}
