// Package driver is the CUDA driver as the backend sees it: one interface, typed
// errors, and behind the tag cuda the implementation.
//
// The interface is untagged so that what decides (sizes, launch shapes, what a
// failure means) is tested where there is neither a GPU nor a CUDA header, and so
// that a drill can put a driver that fails on command in front of the real one.
//
// The implementation calls gorgonia.org/cu where that has the call and the short
// C code of this package where it has not. Neither is linked to libcuda: the table
// in calls.h names every function of the driver, trampolines.S jumps through it,
// and Open fills it with dlopen. So a program with this package in it starts on a
// machine without a driver, which is then an error of Open, and a function that an
// old driver lacks is CUDA_ERROR_NOT_FOUND from the call that needs it.
//
// What must always hold:
//
//   - The current context belongs to the OS thread. Whoever calls a function that
//     needs one has called runtime.LockOSThread and SetCurrent on that thread.
//   - Handles have no finalizers: what was made is destroyed by its owner.
//   - No function passes Go memory to the driver that the driver keeps. Async
//     copies take pinned memory of HostAlloc.
package driver
