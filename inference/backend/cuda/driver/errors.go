package driver

import (
	"errors"
	"fmt"
)

// Error is a failed call of the driver. Those of the same context may come from
// a kernel launched earlier: the driver reports a failure at the next call.
type Error struct {
	Code int    // CUresult
	Name string // CUDA_ERROR_…
	Text string // what the driver says of it
	Call string // the function that returned it, cu…
}

func (e *Error) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("%s: %s (%d)", e.Call, e.Name, e.Code)
	}
	return fmt.Sprintf("%s: %s (%s, %d)", e.Call, e.Text, e.Name, e.Code)
}

// Codes that decide something.
const (
	CodeOutOfMemory    = 2
	CodeNotInitialized = 3
	CodeNoDevice       = 100
	CodeInvalidDevice  = 101
	CodeNoBinaryForGPU = 209
	CodeInvalidContext = 201
	CodeUncorrectable  = 214
	CodeInvalidPTX     = 218
	CodeUnsupportedPTX = 222
	CodeNotFound       = 500 // also: this driver is older than the call
	CodeNotReady       = 600
	CodeIllegalAddress = 700
	CodeLaunchFailed   = 719
	CodeSystemNotReady = 802
	CodeMismatch       = 803 // libraries of the driver and the kernel module differ
	CodeCompatHardware = 804
	CodeUnknown        = 999
)

// names of the codes above and of all that Sticky lists, for errors that do not
// come from a driver.
var names = map[int]string{
	1: "CUDA_ERROR_INVALID_VALUE", 2: "CUDA_ERROR_OUT_OF_MEMORY", 3: "CUDA_ERROR_NOT_INITIALIZED", 4: "CUDA_ERROR_DEINITIALIZED",
	100: "CUDA_ERROR_NO_DEVICE", 101: "CUDA_ERROR_INVALID_DEVICE", 201: "CUDA_ERROR_INVALID_CONTEXT",
	209: "CUDA_ERROR_NO_BINARY_FOR_GPU", 214: "CUDA_ERROR_ECC_UNCORRECTABLE", 218: "CUDA_ERROR_INVALID_PTX",
	220: "CUDA_ERROR_NVLINK_UNCORRECTABLE", 222: "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", 226: "CUDA_ERROR_CONTAINED",
	500: "CUDA_ERROR_NOT_FOUND", 600: "CUDA_ERROR_NOT_READY", 700: "CUDA_ERROR_ILLEGAL_ADDRESS",
	702: "CUDA_ERROR_LAUNCH_TIMEOUT", 709: "CUDA_ERROR_CONTEXT_IS_DESTROYED", 710: "CUDA_ERROR_ASSERT",
	714: "CUDA_ERROR_HARDWARE_STACK_ERROR", 715: "CUDA_ERROR_ILLEGAL_INSTRUCTION", 716: "CUDA_ERROR_MISALIGNED_ADDRESS",
	717: "CUDA_ERROR_INVALID_ADDRESS_SPACE", 718: "CUDA_ERROR_INVALID_PC", 719: "CUDA_ERROR_LAUNCH_FAILED",
	721: "CUDA_ERROR_TENSOR_MEMORY_LEAK", 802: "CUDA_ERROR_SYSTEM_NOT_READY", 803: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
	804: "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", 999: "CUDA_ERROR_UNKNOWN",
}

// NewError is the error of a call that returned code, named without asking a
// driver: for drivers that fail on command.
func NewError(call string, code int) *Error {
	name := names[code]
	if name == "" {
		name = "CUDA_ERROR"
	}
	return &Error{Code: code, Name: name, Call: call}
}

// Sticky tells whether the context is lost with this error: every later call
// returns it again, and what the device wrote can no longer be trusted. The
// driver's documentation of CUresult says of these "the process must be
// terminated and relaunched"; a device that is gone (4, 100, 101 cannot come from
// a running context otherwise) counts with them only as 709.
func (e *Error) Sticky() bool {
	switch e.Code {
	case 214, 220, 226, // memory or link errors that could not be corrected, or were contained
		700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721,
		CodeUnknown:
		return true
	}
	return false
}

// OOM tells whether device memory did not suffice.
func (e *Error) OOM() bool { return e.Code == CodeOutOfMemory }

// Class is one word for metrics and logs: what kind of failure it is.
func (e *Error) Class() string {
	switch e.Code {
	case CodeOutOfMemory:
		return "oom"
	case 214, 226:
		return "ecc"
	case 220:
		return "nvlink"
	case 700, 714, 715, 716, 717, 718, 710, 721:
		return "kernel"
	case 702:
		return "timeout"
	case 719:
		return "launch"
	}
	return "driver"
}

// IsSticky reports whether err holds an error after which the context is lost.
func IsSticky(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Sticky()
}

// IsOOM reports whether err holds an allocation that did not fit.
func IsOOM(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.OOM()
}

// Code is the CUresult that err holds, 0 if none.
func Code(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// ErrNoDriver is wrapped by the error of Open where the driver's library cannot
// be loaded.
var ErrNoDriver = errors.New("no NVIDIA driver")
