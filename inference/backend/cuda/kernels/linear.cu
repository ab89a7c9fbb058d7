// Projections of every format, one warp an output row: dst[m][r] (+)= sum_k x[m][k] W[r][k]
// + b[r] in float32. It reads weights as files have them and rounds nothing, so it is what
// other kernels are compared with, and what runs where they do not: matrices of odd sizes.
//
// Not fast: elements are decoded one by one. A result depends on its own two rows only.
#include "formats.cuh"

enum { WARPS = 8, ROWS = 8 }; // warps of a block; activation rows of one pass over the weights

struct LinearParams {
  float *dst;
  const float *x;
  const uint8_t *w, *b; // b null: no bias
  int64_t rowbytes;
  int32_t m, k, rows, ldd; // activation rows, inputs, weight rows, columns of dst
  int32_t btype, add;
};

template <int T> __device__ void linear(const LinearParams &p) {
  wait_for_previous();
  const int lane = threadIdx.x % 32, r = blockIdx.x * WARPS + threadIdx.x / 32, m0 = blockIdx.y * ROWS;
  if (r >= p.rows) return;
  const int n = min(ROWS, p.m - m0);
  const uint8_t *w = p.w + r * p.rowbytes;
  const float *x = p.x + (int64_t)m0 * p.k;
  float sum[ROWS] = {};
  for (int k = lane; k < p.k; k += 32) {
    float v = at<T>(w, k);
#pragma unroll
    for (int m = 0; m < ROWS; m++)
      if (m < n) sum[m] = fmaf(x[(int64_t)m * p.k + k], v, sum[m]);
  }
  float bias = p.b ? element(p.btype, p.b, r) : 0;
#pragma unroll
  for (int m = 0; m < ROWS; m++) {
    float total = warp_sum(sum[m]) + bias;
    if (m >= n || lane) continue;
    float *y = p.dst + (int64_t)(m0 + m) * p.ldd + r;
    *y = p.add ? *y + total : total;
  }
}

// Grid: (ceil(rows/8), ceil(m/8)) blocks of 256.
#define LINEAR(T) \
  extern "C" __global__ void __launch_bounds__(256) linear_##T(const __grid_constant__ LinearParams p) { linear<T>(p); }
LINEAR(F32) LINEAR(F16) LINEAR(BF16) LINEAR(Q4_0) LINEAR(Q4_1) LINEAR(Q5_0) LINEAR(Q5_1)
LINEAR(Q8_0) LINEAR(Q2_K) LINEAR(Q3_K) LINEAR(Q4_K) LINEAR(Q5_K) LINEAR(Q6_K)
