//go:build cuda

package lt

// #cgo CFLAGS: -std=gnu11 -Wall -O2
// #cgo LDFLAGS: -ldl
// #cgo noescape llorch_lt_run
// #cgo nocallback llorch_lt_run
// #include <stdlib.h>
// #include "lt.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"llorch/inference/backend/cuda/driver"
)

// Library says what was opened.
type Library struct {
	Path    string
	Version int // 10000·major + 100·minor + patch
}

var opened struct {
	sync.Mutex
	done bool
	Library
	err error
}

// Open finds and opens the library, once a process: later calls repeat the answer
// of the first. The error wraps ErrMissing. The environment variable
// LLORCH_CUBLASLT names the file or its folder.
func Open() (Library, error) {
	opened.Lock()
	defer opened.Unlock()
	if !opened.done {
		opened.Library, opened.err = openFirst(Candidates(os.Getenv("LLORCH_CUBLASLT"), os.Getenv("CUDA_HOME"), filepath.Glob))
		opened.done = true
	}
	return opened.Library, opened.err
}

// openFirst tells of the first failure: the others are other places of the same.
func openFirst(paths []string) (Library, error) {
	var first error
	for _, p := range paths {
		l, err := openPath(p)
		if err == nil {
			return l, nil
		}
		if first == nil {
			first = err
		}
	}
	return Library{}, fmt.Errorf("%w: %w", ErrMissing, first)
}

func openPath(path string) (Library, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var where [4096]C.char
	if why := C.llorch_lt_open(name, &where[0], C.size_t(len(where))); why != nil {
		return Library{}, errors.New(C.GoString(why))
	}
	return Library{Path: C.GoString(&where[0]), Version: int(C.llorch_lt_version())}, nil
}

// Handle is the library in the current context. It is used by one goroutine.
type Handle struct{ h unsafe.Pointer }

// Create makes a handle; it takes about 15 ms and some device memory.
func Create() (*Handle, error) {
	if _, err := Open(); err != nil {
		return nil, err
	}
	h := new(Handle)
	return h, failed("cublasLtCreate", C.llorch_lt_create(&h.h))
}

// Close needs no plan to be closed before.
func (h *Handle) Close() error { return failed("cublasLtDestroy", C.llorch_lt_destroy(h.h)) }

func failed(call string, status C.int) error {
	if status == 0 {
		return nil
	}
	return &Error{Status: int(status), Call: call}
}

// Plan is a shape with the algorithms that serve it, the heuristic's best first.
type Plan struct {
	Shape      Shape
	Candidates []Candidate
	h          *Handle
	p          *C.llorch_lt_plan // C memory: the library keeps no pointer, but its descriptors are C's
}

// Plan asks for up to MaxCandidates algorithms that need no more workspace than
// so many bytes. It is an error if there is none.
func (h *Handle) Plan(s Shape, workspace int64) (*Plan, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	d := s.dense()
	shape := C.llorch_lt_shape{
		m: C.uint64_t(d.M), n: C.uint64_t(d.N), k: C.uint64_t(d.K),
		stride_x: C.int64_t(d.StrideX), stride_w: C.int64_t(d.StrideW), stride_y: C.int64_t(d.StrideY),
		in: C.int(d.In), out: C.int(d.Out), align: C.uint32_t(d.Align),
	}
	p := &Plan{Shape: s, h: h, p: (*C.llorch_lt_plan)(C.calloc(1, C.sizeof_llorch_lt_plan))}
	var call *C.char
	status := C.llorch_lt_make(h.h, &shape, C.size_t(workspace), p.p, &call)
	if err := failed(C.GoString(call), status); err != nil {
		p.Close()
		return nil, fmt.Errorf("lt: [%d × %d]·[%d × %d]ᵀ: %w", s.M, s.K, s.N, s.K, err)
	}
	for _, f := range p.p.found[:p.p.count] {
		p.Candidates = append(p.Candidates, Candidate{Workspace: int64(f.workspace), Waves: float32(f.waves)})
	}
	if len(p.Candidates) == 0 {
		p.Close()
		return nil, fmt.Errorf("lt: [%d × %d]·[%d × %d]ᵀ: no algorithm within %d bytes of workspace", s.M, s.K, s.N, s.K, workspace)
	}
	return p, nil
}

// Close frees the plan.
func (p *Plan) Close() {
	C.llorch_lt_free(p.p)
	C.free(unsafe.Pointer(p.p))
	p.p = nil
}

// Run puts y = x·wᵀ, or y += x·wᵀ, into the stream with the i-th candidate.
// workspace holds at least that candidate's bytes and is not used by anything else
// until the stream has passed it; 0 with 0 bytes is allowed for one that needs
// none.
func (p *Plan) Run(i int, y, x, w, workspace driver.Ptr, bytes int64, s driver.Stream) error {
	if i < 0 || i >= len(p.Candidates) || p.Candidates[i].Workspace > bytes {
		return fmt.Errorf("lt: candidate %d of %d with %d bytes of workspace", i, len(p.Candidates), bytes)
	}
	var beta C.float
	if p.Shape.Add {
		beta = 1
	}
	return failed("cublasLtMatmul", C.llorch_lt_run(p.h.h, p.p, C.int(i), beta, C.uint64_t(y), C.uint64_t(x), C.uint64_t(w),
		C.uint64_t(workspace), C.size_t(bytes), C.uintptr_t(s)))
}
