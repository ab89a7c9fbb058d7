package cpu

// #cgo CFLAGS: -std=c11 -Wall
// #cgo !asan CFLAGS: -O3
// #cgo LDFLAGS: -lpthread -lm
// #include "llo.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/sample"
	"llorch/inference/tensor"
)

func init() {
	backend.Register("cpu", open)
	backend.RegisterFormats("cpu", func(o backend.Options, t tensor.DType) bool {
		kern, err := chooseISA(wantedISA(o))
		return err == nil && computes(kern, t)
	})
}

// wantedISA is the instruction set that is asked for, "" for the best.
func wantedISA(o backend.Options) string {
	if o.ISA != "" {
		return o.ISA
	}
	return os.Getenv("LLORCH_CPU")
}

// Device is the host's processor. All calls come from one goroutine.
type Device struct {
	kern    *C.llo_kernels
	pool    *C.llo_pool
	threads int
	guard   C.int
	memory
	plan
	drawing []drawing // Sample calls that wait for their logits
	chooser sample.Chooser
	logits  []float32 // Sample's copy of a row
	err     error     // first failure since the last Sync
	fault   *backend.Fault
}

// open opens the device and proves its kernels on a small problem. The
// environment variable LLORCH_CPU chooses an instruction set where the options
// do not.
func open(o backend.Options) (backend.Device, error) {
	if o.Index != 0 {
		return nil, fmt.Errorf("cpu: there is one device, index 0, not %d", o.Index)
	}
	kern, err := chooseISA(wantedISA(o))
	if err != nil {
		return nil, err
	}
	if err := selfTest(kern); err != nil {
		return nil, err
	}
	threads := o.Threads
	if threads == 0 {
		threads = defaultThreads()
	}
	d, err := newDevice(kern, threads)
	if err != nil {
		return nil, err
	}
	if err := d.start(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func newDevice(kern *C.llo_kernels, threads int) (*Device, error) {
	if threads < 1 || threads > C.LLO_MAX_THREADS {
		return nil, fmt.Errorf("cpu: %d threads: want 1 to %d, or 0 for one a physical core", threads, C.LLO_MAX_THREADS)
	}
	slot := C.llo_guard_open()
	if slot < 0 {
		return nil, fmt.Errorf("cpu: too many open devices")
	}
	pool, err := C.llo_pool_open(C.int(threads))
	if pool == nil {
		C.llo_guard_close(slot)
		return nil, fmt.Errorf("cpu: start %d threads: %w", threads, err)
	}
	return &Device{kern: kern, pool: pool, threads: threads, guard: slot}, nil
}

// Info describes the host's processor.
func (d *Device) Info() backend.Info {
	return backend.Info{
		Kind: "cpu", Name: processorName(), ISA: C.GoString(d.kern.name),
		Threads: d.threads, Architecture: "ram",
	}
}

// Computes tells whether the chosen kernels multiply with weights of a format.
func (d *Device) Computes(t tensor.DType) bool { return computes(d.kern, t) }

func computes(kern *C.llo_kernels, t tensor.DType) bool {
	return C.llo_packing(kern, C.int(t), 0) >= 0 && C.llo_packing(kern, C.int(t), 1) >= 0
}

// Rounds implements backend.Rounder.
func (d *Device) Rounds(weights tensor.DType, prefill bool) tensor.DType {
	return tensor.DType(C.llo_rounds(d.kern, C.int(weights), phaseOf(prefill)))
}

// AttendRounds implements backend.AttendRounder.
func (d *Device) AttendRounds(cache tensor.DType, prefill bool) tensor.DType {
	return tensor.DType(C.llo_attend_rounds(d.kern, C.int(cache), phaseOf(prefill)))
}

func phaseOf(prefill bool) C.int {
	if prefill {
		return 1
	}
	return 0
}

// Sync runs the recorded step, then the choices of tokens that wait for it.
func (d *Device) Sync() error {
	d.flush()
	err := d.err
	d.err = nil
	if addr := uintptr(C.llo_guard_fault(d.guard)); addr != 0 && d.fault == nil {
		d.fault = &backend.Fault{Class: "sigbus", Reason: d.locate(addr)}
	}
	if d.fault != nil {
		return d.fault
	}
	return err
}

// flush runs what is recorded.
func (d *Device) flush() {
	if d.plan.n > 0 {
		if err := d.run(); err != nil {
			d.fail(err)
		}
	}
	for _, s := range d.drawing {
		d.draw(s)
	}
	clear(d.drawing)
	d.drawing = d.drawing[:0]
}

// fail keeps the first failure for Sync.
func (d *Device) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// Close joins the threads and frees all memory. Placed weights are the
// caller's to unmap.
func (d *Device) Close() error {
	if d.pool == nil {
		return nil
	}
	C.llo_pool_close(d.pool)
	C.llo_guard_close(d.guard)
	d.pool = nil
	d.plan.free()
	d.memory.free()
	return nil
}

// drawing is one recorded Sample.
type drawing struct {
	dst    []int32
	logits backend.Tensor
	params []sample.Params
}

// draw chooses the tokens of one Sample. A row without an honest choice gets -1
// and its reason comes out of Sync; the other rows are chosen all the same.
func (d *Device) draw(s drawing) {
	for i := range s.params {
		row := s.logits.Slice(i, i+1).Float32s()
		d.logits = append(d.logits[:0], row...) // Choose works in place
		id, err := d.chooser.Choose(d.logits, &s.params[i])
		if err != nil {
			id = -1
			d.fail(fmt.Errorf("cpu: row %d: %w", i, err))
		}
		s.dst[i] = id
	}
}

// Sample records the choice of a token for each row; logits stay as they are.
func (d *Device) Sample(dst []int32, logits backend.Tensor, p []sample.Params) {
	d.drawing = append(d.drawing, drawing{dst, logits, p})
}

func float32s(p unsafe.Pointer) *C.float { return (*C.float)(p) }
func bytes(p unsafe.Pointer) *C.char     { return (*C.char)(p) }
