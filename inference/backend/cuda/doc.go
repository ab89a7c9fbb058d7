// Package cuda is the backend for NVIDIA GPUs.
//
// What needs a driver, or the kernels that a CUDA compiler made, is behind the tag
// cuda: scripts/cuda/go.sh runs go with both, and `make build-cuda` builds the
// program. What decides without them is here untagged, with tests: which code runs
// on which GPU, and whether a host can serve at all (Facts.Check), as sentences
// that say what to do.
package cuda
