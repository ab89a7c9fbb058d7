// The limits that figures are compared with: how fast memory is read, and what the units
// that multiply make of registers and shared memory alone. Peaks say in *ops what one block
// computed, multiplication and addition counted as two.
#include "formats.cuh"
#include "hopper.cuh"
#include "projection.cuh"

struct ReadParams {
  const uint4 *from;
  int64_t n; // of 16 bytes
  uint32_t *sink;
};

// Grid: blocks of 512, four a multiprocessor.
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

struct PeakParams {
  double *ops;
  float *sink;
  int32_t rounds, pad;
};

// Two bf16 of random signs and digits: zeros take less power, and so run faster than any work.
__device__ __forceinline__ uint32_t noise(uint32_t i) {
  i = (i ^ i >> 16) * 0x7feb352d;
  i = (i ^ i >> 15) * 0x846ca68b;
  return ((i ^ i >> 16) & 0x80ff80ff) | 0x3c003c00;
}

// n sums of a thread, which nobody wants.
template <int N> __device__ __forceinline__ void keep(const PeakParams &p, const float (&sum)[N], double ops) {
  float all = 0;
#pragma unroll
  for (int i = 0; i < N; i++) all += sum[i];
  if (all == 1.2345f) *p.sink = all;
  if (blockIdx.x == 0 && threadIdx.x == 0) *p.ops = ops;
}

// Grid: blocks of 512, two a multiprocessor. Sixteen sums a thread, each added to in turn.
extern "C" __global__ void __launch_bounds__(512, 2) fma_peak(const __grid_constant__ PeakParams p) {
  wait_for_previous();
  float sum[16];
  const float x = __uint_as_float(0x3f7fff00 | threadIdx.x), y = x * 0.001f;
#pragma unroll
  for (int i = 0; i < 16; i++) sum[i] = i;
  for (int round = 0; round < p.rounds; round++) {
#pragma unroll
    for (int i = 0; i < 16; i++) sum[i] = __fmaf_rn(sum[i], x, y);
  }
  keep(p, sum, 512. * 16 * 2 * p.rounds);
}

// Grid: blocks of 256, one a multiprocessor. Two warpgroups multiply 64 × 16 of registers
// with 256 × 16 of shared memory; where there is no wgmma, warps 16 × 16 with 8 × 16.
extern "C" __global__ void __launch_bounds__(256, 1) matrix_peak(const __grid_constant__ PeakParams p) {
  wait_for_previous();
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  __shared__ __align__(1024) uint32_t tokens[2][4096];
  for (int i = threadIdx.x; i < 8192; i += 256) tokens[i / 4096][i % 4096] = noise(i);
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); // wgmma reads them by another way
  __syncthreads();
  uint4 a[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const uint32_t at = (threadIdx.x * 4 + i) * 4 + 8192;
    a[i] = make_uint4(noise(at), noise(at + 1), noise(at + 2), noise(at + 3));
  }
  float sum[128];
#pragma unroll
  for (int i = 0; i < 128; i++) sum[i] = 0;
  const uint32_t base = shared_address(tokens);
  for (int round = 0; round < p.rounds; round++) {
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < 8; i++) wgmma(sum, a[i % 4], matrix_descriptor(base + i / 2 % 2 * 16384) + 2 * (i % 2));
    wgmma_commit();
    wgmma_wait<0>();
  }
  keep(p, sum, 2. * 8 * 64 * 256 * 16 * 2 * p.rounds);
#else
  uint4 a = make_uint4(noise(threadIdx.x), noise(threadIdx.x + 256), noise(threadIdx.x + 512), noise(threadIdx.x + 768));
  uint32_t b[16];
#pragma unroll
  for (int i = 0; i < 16; i++) b[i] = noise(threadIdx.x + 1024 + 256 * i);
  float sum[8][4] = {};
  for (int round = 0; round < p.rounds; round++) {
#pragma unroll
    for (int i = 0; i < 8; i++) mma(sum[i], a, b[2 * i], b[2 * i + 1]);
  }
  float all[8];
#pragma unroll
  for (int i = 0; i < 8; i++) all[i] = sum[i][0] + sum[i][1] + sum[i][2] + sum[i][3];
  keep(p, all, 8. * 8 * 16 * 8 * 16 * 2 * p.rounds);
#endif
}
