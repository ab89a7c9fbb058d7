//go:build cuda

package driver

// #cgo noescape llorch_pointer_info
// #cgo nocallback llorch_pointer_info
// #cgo noescape llorch_copy_in
// #cgo nocallback llorch_copy_in
// #include "extra.h"
import "C"

import (
	"unsafe"

	"gorgonia.org/cu"
)

func (*CUDA) MemInfo() (free, total int64, err error) {
	free, total, err = cu.MemInfo()
	return free, total, wrap("cuMemGetInfo", err)
}

func (*CUDA) MemAlloc(bytes int64) (Ptr, error) {
	p, err := cu.MemAlloc(bytes)
	return Ptr(p), wrap("cuMemAlloc", err)
}

func (*CUDA) MemFree(p Ptr) error { return wrap("cuMemFree", cu.MemFree(cu.DevicePtr(p))) }

func (*CUDA) PointerInfo(p Ptr) (PointerInfo, error) {
	var i C.llorch_pointer
	if r := C.llorch_pointer_info(C.uint64_t(p), &i); r != 0 {
		return PointerInfo{}, failed("cuPointerGetAttributes", int(r))
	}
	return PointerInfo{
		Type: MemoryType(i._type), Device: int(i.device), Host: uintptr(i.host), Managed: i.managed != 0,
		Start: Ptr(i.start), Bytes: int64(i.bytes),
	}, nil
}

func (*CUDA) HostAlloc(bytes int64) (Pinned, error) {
	var host unsafe.Pointer
	var device C.uint64_t
	if err := check("cuMemHostAlloc", C.llorch_host_alloc(C.size_t(bytes), &host, &device)); err != nil {
		return Pinned{}, err
	}
	return Pinned{Bytes: unsafe.Slice((*byte)(host), bytes), Device: Ptr(device)}, nil
}

func (*CUDA) HostFree(p Pinned) error {
	return wrap("cuMemFreeHost", cu.MemFreeHost(start(p.Bytes)))
}

// start is where b lies. Its address is taken even where len(b) is 0.
func start(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

func (*CUDA) CopyHtoD(dst Ptr, src []byte) error {
	return wrap("cuMemcpyHtoD", cu.MemcpyHtoD(cu.DevicePtr(dst), start(src), int64(len(src))))
}

func (*CUDA) CopyDtoH(dst []byte, src Ptr) error {
	return wrap("cuMemcpyDtoH", cu.MemcpyDtoH(start(dst), cu.DevicePtr(src), int64(len(dst))))
}

func (*CUDA) CopyHtoDAsync(dst Ptr, src []byte, s Stream) error {
	return check("cuMemcpyHtoDAsync", C.llorch_copy_in(C.uint64_t(dst), start(src), C.size_t(len(src)), C.uintptr_t(s)))
}

func (*CUDA) CopyDtoDAsync(dst, src Ptr, bytes int64, s Stream) error {
	return wrap("cuMemcpyDtoDAsync", cu.MemcpyDtoDAsync(cu.DevicePtr(dst), cu.DevicePtr(src), bytes, as[cu.Stream](s)))
}

func (*CUDA) Memset8Async(dst Ptr, value byte, bytes int64, s Stream) error {
	return wrap("cuMemsetD8Async", cu.MemsetD8Async(cu.DevicePtr(dst), value, bytes, as[cu.Stream](s)))
}

func (*CUDA) Memset32Async(dst Ptr, value uint32, words int64, s Stream) error {
	return wrap("cuMemsetD32Async", cu.MemsetD32Async(cu.DevicePtr(dst), uint(value), words, as[cu.Stream](s)))
}
