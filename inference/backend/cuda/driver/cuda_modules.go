//go:build cuda

package driver

// #cgo noescape llorch_launch
// #cgo nocallback llorch_launch
// #cgo noescape llorch_occupancy
// #cgo nocallback llorch_occupancy
// #cgo noescape llorch_clusters
// #cgo nocallback llorch_clusters
// #include "extra.h"
import "C"

import "gorgonia.org/cu"

func (*CUDA) ModuleLoad(image string) (Module, error) {
	m, err := cu.LoadData(image)
	return as[Module](m), wrap("cuModuleLoadData", err)
}

func (*CUDA) ModuleUnload(m Module) error {
	return wrap("cuModuleUnload", as[cu.Module](m).Unload())
}

func (*CUDA) ModuleFunction(m Module, name string) (Function, error) {
	h, err := as[cu.Module](m).Function(name)
	if err != nil {
		return 0, wrap("cuModuleGetFunction "+name, err)
	}
	f := as[Function](h)
	return f, check("cuFuncLoad "+name, C.llorch_load_function(C.uintptr_t(f)))
}

func (*CUDA) FunctionAttribute(f Function, a FunctionAttribute) (int, error) {
	v, err := as[cu.Function](f).Attribute(cu.FunctionAttribute(a))
	return v, wrap("cuFuncGetAttribute", err)
}

func (*CUDA) SetFunctionAttribute(f Function, a FunctionAttribute, value int) error {
	return check("cuFuncSetAttribute", C.llorch_set_attribute(C.uintptr_t(f), C.int(a), C.int(value)))
}

func (*CUDA) Occupancy(f Function, threads int, shared int64) (int, error) {
	var blocks C.int
	err := check("cuOccupancyMaxActiveBlocksPerMultiprocessor",
		C.llorch_occupancy(C.uintptr_t(f), C.int(threads), C.size_t(shared), &blocks))
	return int(blocks), err
}

func (*CUDA) Clusters(f Function, c LaunchConfig) (int, error) {
	var clusters C.int
	shape := shapeOf(c)
	err := check("cuOccupancyMaxActiveClusters", C.llorch_clusters(C.uintptr_t(f), &shape, &clusters))
	return int(clusters), err
}

func shapeOf(c LaunchConfig) C.llorch_shape {
	shape := C.llorch_shape{shared: C.uint32_t(c.Shared), cluster: C.uint32_t(c.Cluster)}
	for i := range shape.grid {
		shape.grid[i], shape.block[i] = C.uint32_t(max(c.Grid[i], 1)), C.uint32_t(max(c.Block[i], 1))
	}
	if c.Programmatic {
		shape.programmatic = 1
	}
	return shape
}

func (*CUDA) Launch(f Function, s Stream, c LaunchConfig, params []byte) error {
	shape := shapeOf(c)
	r := C.llorch_launch(C.uintptr_t(f), C.uintptr_t(s), &shape, start(params), C.size_t(len(params)))
	if r != 0 {
		return failed("cuLaunchKernelEx", int(r))
	}
	return nil
}
