// Activations for the products of a prompt: float32 [n × columns] to bf16 in the packed form
// of gemm.cuh, with what comes before the product in the same pass.
//
//   pack: y = x
//   pack_norm: y = x / sqrt(mean(x²) + eps) · w
//   pack_swiglu: y = silu(x[k])·x[cols+k], x [n × 2·cols]
//
// Grid: n blocks of 256. A thread reads and writes 16 k at a time. k from cols up to a multiple
// of 64 are zeros; rows from n up to a multiple of 8 are left as they are, for no result
// depends on them.
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

__device__ __forceinline__ uint32_t bf16_pair(float low, float high) {
  __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
  return *(uint32_t *)&v;
}

__device__ __forceinline__ void store16(const PackParams &p, int m, int k, const float (&v)[16]) {
  uint4 first = {bf16_pair(v[0], v[1]), bf16_pair(v[4], v[5]), bf16_pair(v[8], v[9]), bf16_pair(v[12], v[13])};
  uint4 second = {bf16_pair(v[2], v[3]), bf16_pair(v[6], v[7]), bf16_pair(v[10], v[11]), bf16_pair(v[14], v[15])};
  *(uint4 *)(p.dst + packed_at(p.groups, m / 8, m % 8, k)) = first;
  *(uint4 *)(p.dst + packed_at(p.groups, m / 8, m % 8, k + 2)) = second;
}

__device__ __forceinline__ float norm_weight(const PackParams &p, int k) {
  if (k >= p.cols) return 0;
  return p.type == F32 ? at<F32>(p.w, k) : p.type == F16 ? at<F16>(p.w, k) : at<BF16>(p.w, k);
}

// 1/sqrt(mean(x²)+eps); the order of the sum is that of the row alone.
__device__ float norm_scale(const PackParams &p, const float *x) {
  __shared__ float part[PACK_THREADS / 32];
  float sum = 0, v[16];
  for (int k = threadIdx.x * 16; k < p.cols; k += PACK_THREADS * 16) {
    load16(v, x, k, p.cols);
#pragma unroll
    for (int i = 0; i < 16; i++) sum = fmaf(v[i], v[i], sum);
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
#pragma unroll
  for (int i = 0; i < PACK_THREADS / 32; i++) sum += part[i];
  return 1 / sqrtf(sum / p.cols + p.eps);
}

enum Before { NOTHING, NORM, SWIGLU_OF_PAIR };
template <Before B> __device__ __forceinline__ void pack_row(const PackParams &p) {
  const int m = blockIdx.x, end = (p.cols + 63) / 64 * 64;
  const float *x = p.x + (int64_t)m * p.cols * (B == SWIGLU_OF_PAIR ? 2 : 1);
  const float scale = B == NORM ? norm_scale(p, x) : 1;
  for (int k = threadIdx.x * 16; k < end; k += PACK_THREADS * 16) {
    float v[16];
    load16(v, x, k, p.cols);
    if (B == NORM) {
#pragma unroll
      for (int i = 0; i < 16; i++) v[i] = v[i] * scale * norm_weight(p, k + i);
    }
    if (B == SWIGLU_OF_PAIR) {
      float up[16];
      load16(up, x + p.cols, k, p.cols);
#pragma unroll
      for (int i = 0; i < 16; i++) v[i] = silu(v[i]) * up[i];
    }
    store16(p, m, k, v);
  }
}

extern "C" {
__global__ void __launch_bounds__(PACK_THREADS) pack(const __grid_constant__ PackParams p) { pack_row<NOTHING>(p); }
__global__ void __launch_bounds__(PACK_THREADS) pack_norm(const __grid_constant__ PackParams p) { pack_row<NORM>(p); }
__global__ void __launch_bounds__(PACK_THREADS) pack_swiglu(const __grid_constant__ PackParams p) { pack_row<SWIGLU_OF_PAIR>(p); }
}
