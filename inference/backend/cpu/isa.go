package cpu

// #include <stdlib.h>
// #include "llo.h"
import "C"

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"unsafe"
)

// isas in ascending order of preference.
var isas = []string{"portable", "avx2", "avxvnni", "avx512f", "avx512", "avx512bf16", "amx", "neon", "dotprod", "i8mm"}

// ISAs lists the instruction sets that this build has and this host can run,
// the best one last.
func ISAs() []string {
	var runs []string
	for _, name := range isas {
		if findISA(name) != nil {
			runs = append(runs, name)
		}
	}
	if i := slices.Index(runs, "avx512bf16"); i > 0 && C.llo_fast_pairs() == 0 { // then float32 is no slower, and exact
		runs[i-1], runs[i] = runs[i], runs[i-1]
	}
	return runs
}

// found has what findISA has answered. In a virtual machine each question to the
// processor is one to the hypervisor, and a load asks for every tensor.
var found sync.Map // of *C.llo_kernels

func findISA(name string) *C.llo_kernels {
	if kern, ok := found.Load(name); ok {
		return kern.(*C.llo_kernels)
	}
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	kern := C.llo_find(s)
	found.Store(name, kern)
	return kern
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
