//go:build cuda

package driver

// #cgo CFLAGS: -std=gnu11 -Wall -O2
// #cgo LDFLAGS: -ldl -lpthread
// #include "extra.h"
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"gorgonia.org/cu"
)

// Headers is the version of the CUDA headers this was built with: 1000·major + 10·minor.
const Headers = int(C.CUDA_VERSION)

// CUDA is the installed driver.
type CUDA struct {
	// Lacking counts the functions of the headers that the driver has not: it is
	// older than they are. Each is CUDA_ERROR_NOT_FOUND where it is called.
	Lacking int
}

var _ Driver = (*CUDA)(nil)

// The handles of gorgonia.org/cu are structs of one pointer and read as such;
// these lines fail to compile when that changes.
var (
	_ [unsafe.Sizeof(uintptr(0))]struct{} = [unsafe.Sizeof(cu.Module{})]struct{}{}
	_ [unsafe.Sizeof(uintptr(0))]struct{} = [unsafe.Sizeof(cu.Function{})]struct{}{}
	_ [unsafe.Sizeof(uintptr(0))]struct{} = [unsafe.Sizeof(cu.Stream{})]struct{}{}
	_ [unsafe.Sizeof(uintptr(0))]struct{} = [unsafe.Sizeof(cu.Event{})]struct{}{}
	_ [unsafe.Sizeof(uintptr(0))]struct{} = [unsafe.Sizeof(cu.CUContext{})]struct{}{}
)

// as reads a one-pointer handle as another.
func as[To, From any](h From) To { return *(*To)(unsafe.Pointer(&h)) }

// Open loads the driver and initialises it, once a process: later calls repeat
// the answer of the first. The error wraps ErrNoDriver where there is none, else
// it is an *Error: CodeNoDevice with a driver and no GPU.
//
// The environment variable LLORCH_LIBCUDA names the library instead of the places
// where drivers install it.
func Open() (*CUDA, error) {
	var why *C.char
	var lacking C.int
	r := C.llorch_cuda_open(&why, &lacking)
	if r < 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoDriver, C.GoString(why))
	}
	if r > 0 {
		return nil, failed("cuInit", int(r))
	}
	return &CUDA{Lacking: int(lacking)}, nil
}

// failed names a code in the driver's words.
func failed(call string, code int) error {
	e := NewError(call, code)
	if s := C.llorch_error_name(C.int(code)); s != nil {
		e.Name = C.GoString(s)
	}
	if s := C.llorch_error_text(C.int(code)); s != nil {
		e.Text = C.GoString(s)
	}
	return e
}

// check is the error of one of the package's C functions.
func check(call string, r C.CUresult) error {
	if r == 0 {
		return nil
	}
	return failed(call, int(r))
}

// wrap is the error of gorgonia.org/cu as *Error. Its type is an unexported
// integer that holds the CUresult.
func wrap(call string, err error) error {
	if err == nil {
		return nil
	}
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		if v := reflect.ValueOf(cause); v.Kind() == reflect.Int {
			return failed(call, int(v.Int()))
		}
	}
	return &Error{Code: CodeUnknown, Name: names[CodeUnknown], Text: err.Error(), Call: call}
}

func (*CUDA) Version() (int, error) {
	v := cu.Version()
	if v < 0 {
		return 0, failed("cuDriverGetVersion", CodeUnknown)
	}
	return v, nil
}

func (*CUDA) DeviceCount() (int, error) {
	n, err := cu.NumDevices()
	return n, wrap("cuDeviceGetCount", err)
}

func (*CUDA) DeviceName(device int) (string, error) {
	name, err := cu.Device(device).Name()
	return name, wrap("cuDeviceGetName", err)
}

func (*CUDA) DeviceUUID(device int) (UUID, error) {
	id, err := cu.Device(device).UUID()
	return UUID(id), wrap("cuDeviceGetUuid", err)
}

func (*CUDA) DeviceBytes(device int) (int64, error) {
	n, err := cu.Device(device).TotalMem()
	return n, wrap("cuDeviceTotalMem", err)
}

func (*CUDA) DeviceAttribute(device int, a Attribute) (int, error) {
	v, err := cu.Device(device).Attribute(cu.DeviceAttribute(a))
	return v, wrap("cuDeviceGetAttribute", err)
}

func (*CUDA) RetainPrimary(device int, flags ContextFlags) (Context, error) {
	d := cu.Device(device)
	// An active context, of a library in this process, refuses other flags only
	// before CUDA 11; the error is then what the user should see.
	if err := d.SetPrimaryCtxFlags(cu.ContextFlags(flags)); err != nil {
		return 0, wrap("cuDevicePrimaryCtxSetFlags", err)
	}
	c, err := d.RetainPrimaryCtx()
	return as[Context](c), wrap("cuDevicePrimaryCtxRetain", err)
}

func (*CUDA) ReleasePrimary(device int) error {
	return wrap("cuDevicePrimaryCtxRelease", cu.Device(device).ReleasePrimaryCtx())
}

func (*CUDA) SetCurrent(c Context) error {
	return wrap("cuCtxSetCurrent", cu.SetCurrentContext(as[cu.CUContext](c)))
}

func (*CUDA) Synchronize() error { return wrap("cuCtxSynchronize", cu.Synchronize()) }
