package cpu

// #include <stdlib.h>
// #include "llo.h"
import "C"

import (
	"fmt"
	"strings"
	"unsafe"
)

// isas in ascending order of preference.
var isas = []string{"portable", "avx2", "avxvnni", "avx512f", "avx512", "amx", "neon", "dotprod", "i8mm"}

// ISAs lists the instruction sets that this build has and this host can run,
// the best one last.
func ISAs() []string {
	var runs []string
	for _, name := range isas {
		if findISA(name) != nil {
			runs = append(runs, name)
		}
	}
	return runs
}

func findISA(name string) *C.llo_kernels {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	return C.llo_find(s)
}

// chooseISA resolves a name, "" being the best. "ref" is another name of
// "portable"; "amx-emulated" is for tests, and no host's best.
func chooseISA(name string) (*C.llo_kernels, error) {
	runs := ISAs()
	switch name {
	case "":
		name = runs[len(runs)-1]
	case "ref":
		name = "portable"
	}
	kern := findISA(name)
	if kern == nil {
		return nil, fmt.Errorf("cpu: instruction set %q is not one this host runs: choose %s", name, strings.Join(runs, ", "))
	}
	return kern, nil
}
