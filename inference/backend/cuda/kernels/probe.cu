// probe: which machine code runs here, and whether a launch reaches the device.
//
//   out[0] = 100·major + 10·minor that the running code was compiled for (__CUDA_ARCH__)
//   out[1] = 1 when it was compiled for exactly this architecture (sm_90a: wgmma, TMA), else 0
//
// Launch: 1 block of 32 threads. Called by open_cuda.go for each module, before anything else.
#include <stdint.h>

struct Params {
  uint32_t *out; // [2]
};

extern "C" __global__ void probe(const __grid_constant__ Params p) {
  if (threadIdx.x != 0) return;
  p.out[0] = __CUDA_ARCH__;
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  p.out[1] = 1;
#else
  p.out[1] = 0;
#endif
}
