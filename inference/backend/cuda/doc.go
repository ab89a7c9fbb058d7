// Package cuda is the backend for NVIDIA GPUs.
//
// What needs a driver, or the kernels that a CUDA compiler made, is behind the tag
// cuda: scripts/cuda/go.sh runs go with both, and `make build-cuda` builds the
// program. What decides without them is here untagged, with tests: which code runs
// on which GPU (Build), and whether a host can serve at all, as sentences that say
// what to do (Facts.Check).
//
// A kernel is one more file in kernels/: scripts/cuda/kernels.sh compiles each to
// a fatbin, the program embeds all of them, LoadKernels loads each as a module and
// Kernels.Function finds the kernel by its name. It takes one parameter struct by
// value (const __grid_constant__), whose twin in Go, of the same fields and
// alignment, goes to driver.Launch through driver.Params.
//
// What must always hold:
//
//   - The program starts, and says what is missing, on a host with neither driver
//     nor libraries: libcuda, NVML and cuBLASLt are opened at run time. link_test.go
//     looks at the linked program.
//   - Nothing computes on a device before Facts.Check has found it fit, and its
//     kernels have been seen to run (Probe).
//   - Code that decides takes the interface driver.Driver; driver.Injector in front
//     of it makes every call fail on command.
package cuda
