package inference

import (
	"fmt"
	"strings"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// Devices lists the kinds of device in this binary.
func Devices() []string { return backend.Kinds() }

// CacheType is the number format of keys and values by its name in settings:
// "f16", "bf16", "f32" or "q8_0".
func CacheType(name string) (tensor.DType, error) {
	for _, t := range backend.CacheFormats {
		if strings.EqualFold(t.String(), name) {
			return t, nil
		}
	}
	return 0, fmt.Errorf("inference: %q is no format of the cache: give f16, bf16, f32 or q8_0", name)
}

// Probe opens a device without a model, to say what it is.
func Probe(kind string, index int) (backend.Info, error) {
	d, err := backend.Open(kind, backend.Options{Index: index})
	if err != nil {
		return backend.Info{}, err
	}
	return d.Info(), d.Close()
}

// Finding is one thing found out about a kind of device, without a model.
type Finding = backend.Finding

// Grades of a finding.
const (
	Bad  = backend.Bad
	Weak = backend.Weak
)

// Examine looks at a kind of device without opening one; ok is false where Probe
// tells all there is.
func Examine(kind string, index int) (all []Finding, ok bool) { return backend.Examine(kind, index) }
