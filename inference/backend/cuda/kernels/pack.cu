// Activations for the products of a prompt: float32 [n × columns] to bf16 in the packed form
// of gemm.cuh, with what comes before the product in the same pass.
//
//   pack_rows: y = x
//   pack_norm: y = x / sqrt(mean(x²) + eps) · w
//
// Grid: n blocks of 256. A thread reads and writes 16 k at a time. k from cols up to a multiple
// of 64 are zeros; rows from n up to a multiple of 8 are left as they are, for no result
// depends on them.
//
// 2.7 to 3.3 TB/s, read and written, on H200s at 2048 rows; the limit is memory, 4.2 TB/s.
#include "gemm.cuh"

struct PackParams {
  uint8_t *dst;
  const float *x;
  const uint8_t *w; // [cols] of F32, F16 or BF16
  int32_t cols, groups, type;
  float eps;
};

enum { PACK_THREADS = 256 };

// x[k..k+16), zeros from cols on.
__device__ __forceinline__ void load16(float (&v)[16], const float *x, int k, int cols) {
  if (k + 16 <= cols && (uintptr_t)(x + k) % 16 == 0) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float4 f = *(const float4 *)(x + k + 4 * i);
      v[4 * i] = f.x, v[4 * i + 1] = f.y, v[4 * i + 2] = f.z, v[4 * i + 3] = f.w;
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < 16; i++) v[i] = k + i < cols ? x[k + i] : 0;
}

__device__ __forceinline__ void store16(const PackParams &p, int m, int k, const float (&v)[16]) {
  uint4 first = {pack(v[0], v[1]), pack(v[4], v[5]), pack(v[8], v[9]), pack(v[12], v[13])};
  uint4 second = {pack(v[2], v[3]), pack(v[6], v[7]), pack(v[10], v[11]), pack(v[14], v[15])};
  *(uint4 *)(p.dst + packed_at(p.groups, m / 8, m % 8, k)) = first;
  *(uint4 *)(p.dst + packed_at(p.groups, m / 8, m % 8, k + 2)) = second;
}

__device__ __forceinline__ void load16_weights(float (&v)[16], const PackParams &p, int k) {
  if (p.type == F32) return load16(v, (const float *)p.w, k, p.cols);
  const uint8_t *w = p.w + 2 * (int64_t)k;
  uint16_t h[16];
  if (k + 16 <= p.cols && (uintptr_t)w % 16 == 0) {
    ((uint4 *)h)[0] = ((const uint4 *)w)[0];
    ((uint4 *)h)[1] = ((const uint4 *)w)[1];
  } else {
#pragma unroll
    for (int i = 0; i < 16; i++) h[i] = k + i < p.cols ? ((const uint16_t *)w)[i] : 0;
  }
#pragma unroll
  for (int i = 0; i < 16; i++) v[i] = p.type == F16 ? __half2float(__ushort_as_half(h[i])) : __bfloat162float(__ushort_as_bfloat16(h[i]));
}

// The sum over the block, in an order that is always the same.
__device__ float block_sum(float sum) {
  __shared__ float part[PACK_THREADS / 32];
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
#pragma unroll
  for (int i = 0; i < PACK_THREADS / 32; i++) sum += part[i];
  return sum;
}

__device__ __forceinline__ void store_normed(const PackParams &p, int k, float (&v)[16], float scale) {
  float w[16];
  load16_weights(w, p, k);
#pragma unroll
  for (int i = 0; i < 16; i++) v[i] = v[i] * scale * w[i];
  store16(p, blockIdx.x, k, v);
}

// Rows up to KEPT·4096 stay in registers between the sum and the product.
enum { STEP = PACK_THREADS * 16, KEPT = 2 };
__device__ __forceinline__ void pack_normed(const PackParams &p) {
  const int first = threadIdx.x * 16, end = (p.cols + 63) / 64 * 64;
  const float *x = p.x + (int64_t)blockIdx.x * p.cols;
  float v[KEPT][16], rest[16], sum = 0;
#pragma unroll
  for (int u = 0; u < KEPT; u++) load16(v[u], x, first + u * STEP, p.cols);
#pragma unroll
  for (int i = 0; i < 16 * KEPT; i++) sum = fmaf(v[i / 16][i % 16], v[i / 16][i % 16], sum);
  for (int k = first + KEPT * STEP; k < p.cols; k += STEP) {
    load16(rest, x, k, p.cols);
#pragma unroll
    for (int i = 0; i < 16; i++) sum = fmaf(rest[i], rest[i], sum);
  }
  const float scale = 1 / sqrtf(block_sum(sum) / p.cols + p.eps);
#pragma unroll
  for (int u = 0; u < KEPT; u++)
    if (first + u * STEP < end) store_normed(p, first + u * STEP, v[u], scale);
  for (int k = first + KEPT * STEP; k < end; k += STEP) {
    load16(rest, x, k, p.cols);
    store_normed(p, k, rest, scale);
  }
}

__device__ __forceinline__ void pack_row(const PackParams &p) {
  const int m = blockIdx.x, end = (p.cols + 63) / 64 * 64;
  const float *x = p.x + (int64_t)m * p.cols;
  for (int k = threadIdx.x * 16; k < end; k += STEP) {
    float v[16];
    load16(v, x, k, p.cols);
    store16(p, m, k, v);
  }
}

extern "C" {
__global__ void __launch_bounds__(PACK_THREADS) pack_rows(const __grid_constant__ PackParams p) { pack_row(p); }
__global__ void __launch_bounds__(PACK_THREADS) pack_norm(const __grid_constant__ PackParams p) { pack_normed(p); }
}
