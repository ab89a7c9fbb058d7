//go:build cuda

package driver

// #cgo noescape llorch_graph_launch
// #cgo nocallback llorch_graph_launch
// #include "extra.h"
import "C"

func (*CUDA) CaptureBegin(s Stream) error {
	return check("cuStreamBeginCapture", C.llorch_capture_begin(C.uintptr_t(s)))
}

func (*CUDA) CaptureEnd(s Stream) (Graph, error) {
	var g C.uintptr_t
	err := check("cuStreamEndCapture", C.llorch_capture_end(C.uintptr_t(s), &g))
	return Graph(g), err
}

func (*CUDA) GraphNodes(g Graph) (int, error) {
	var n C.size_t
	err := check("cuGraphGetNodes", C.llorch_graph_nodes(C.uintptr_t(g), &n))
	return int(n), err
}

func (*CUDA) GraphInstantiate(g Graph) (Exec, error) {
	var x C.uintptr_t
	err := check("cuGraphInstantiateWithFlags", C.llorch_graph_instantiate(C.uintptr_t(g), &x))
	return Exec(x), err
}

func (*CUDA) GraphDestroy(g Graph) error {
	return check("cuGraphDestroy", C.llorch_graph_destroy(C.uintptr_t(g)))
}

func (*CUDA) GraphUpload(x Exec, s Stream) error {
	return check("cuGraphUpload", C.llorch_graph_upload(C.uintptr_t(x), C.uintptr_t(s)))
}

func (*CUDA) GraphLaunch(x Exec, s Stream) error {
	return check("cuGraphLaunch", C.llorch_graph_launch(C.uintptr_t(x), C.uintptr_t(s)))
}

func (*CUDA) ExecDestroy(x Exec) error {
	return check("cuGraphExecDestroy", C.llorch_exec_destroy(C.uintptr_t(x)))
}
