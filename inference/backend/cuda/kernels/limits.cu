// The limit that figures are compared with: how fast memory is read. Grid: blocks of 512,
// four a multiprocessor.
#include "formats.cuh"

struct ReadParams {
  const uint4 *from;
  int64_t n; // of 16 bytes
  uint32_t *sink;
};

extern "C" __global__ void __launch_bounds__(512) stream_read(const __grid_constant__ ReadParams p) {
  wait_for_previous();
  const int64_t step = (int64_t)gridDim.x * 512;
  uint32_t sum = 0;
  for (int64_t i = blockIdx.x * (int64_t)512 + threadIdx.x; i < p.n; i += 8 * step) {
    uint4 v[8];
#pragma unroll
    for (int j = 0; j < 8; j++) v[j] = i + j * step < p.n ? __ldcs(p.from + i + j * step) : make_uint4(0, 0, 0, 0);
#pragma unroll
    for (int j = 0; j < 8; j++) sum ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  if (sum == 0x12345678) *p.sink = sum; // keeps the loads
}
