//go:build cuda

package cuda

import (
	"embed"
	"fmt"
	"strings"
)

// What scripts/cuda/kernels.sh compiled of kernels/*.cu.
//
//go:embed kernels/*.fatbin
var fatbins embed.FS

//go:embed kernels/build.txt
var buildText string

// images are the embedded kernels by the name of their source, without ending.
func images() (map[string]string, error) {
	files, err := fatbins.ReadDir("kernels")
	if err != nil {
		return nil, fmt.Errorf("cuda: the embedded kernels: %w", err)
	}
	all := map[string]string{}
	for _, f := range files {
		data, err := fatbins.ReadFile("kernels/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("cuda: the embedded kernels: %w", err)
		}
		all[strings.TrimSuffix(f.Name(), ".fatbin")] = string(data)
	}
	return all, nil
}
