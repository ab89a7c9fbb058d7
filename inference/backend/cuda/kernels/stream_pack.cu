// Activations for stream.cu: float32 rows to bf16 in operand order (gemm.cuh), times the
// weights of the norm before. The norm's factors are for the sums, since that is how
// project.cu has them: squares are added in its order.
//
// Grid: a block of 512 a row. Rows that fill up 8 are left as they are: no result depends
// on them.
#include "gemm.cuh"
#include "project_take.cuh"

struct StreamPackParams {
  uint8_t *dst;
  const float *x;
  const uint8_t *gamma; // null: no norm
  float *factors, *norm; // norm: where the normed rows go, null: nowhere
  int32_t k, ldx, tiles, groups, gamma_type;
  float eps;
};

enum { MOST_TILES = 24 * WARPS }; // of rows that are normed

// The sum of a row's squares by slices of k, as project_take.cuh adds them.
__device__ __forceinline__ float row_factor(const StreamPackParams &p, const float *squares) {
  __shared__ float slices[WARPS];
  const int w = threadIdx.x / 4, t = threadIdx.x % 4;
  if (threadIdx.x < WARPS * 4) {
    float sum = 0;
    for (int i = 0; i < p.tiles / WARPS; i++) sum += squares[(i / PER * PER * WARPS + w * PER + i % PER) * 4 + t];
    sum += __shfl_xor_sync(0xffffffff, sum, 1);
    sum += __shfl_xor_sync(0xffffffff, sum, 2);
    if (t == 0) slices[w] = sum;
  }
  __syncthreads();
  float sum = 0;
#pragma unroll
  for (int i = 0; i < WARPS; i++) sum += slices[i];
  return 1 / sqrtf(sum / p.k + p.eps);
}

extern "C" __global__ void __launch_bounds__(512) stream_pack(const __grid_constant__ StreamPackParams p) {
  __shared__ float squares[MOST_TILES * 4];
  const int m = blockIdx.x;
  const float *x = p.x + (int64_t)m * p.ldx;
  let_next_start();
  wait_for_previous();
  for (int i = threadIdx.x; i < p.tiles * 4; i += 512) {
    const int k = 4 * i;
    float4 v = load_x(x, k, p.k);
    if (p.gamma) {
      squares[i] = squares_of(v);
      v = times(v, four(p.gamma_type, p.gamma, k < p.k ? k : 0));
    }
    *(uint32_t *)(p.dst + packed_at(p.groups, m / 8, m % 8, k)) = pack(v.x, v.y);
    *(uint32_t *)(p.dst + packed_at(p.groups, m / 8, m % 8, k + 2)) = pack(v.z, v.w);
  }
  if (!p.gamma) return;
  __syncthreads();
  const float factor = row_factor(p, squares);
  if (threadIdx.x == 0) p.factors[m] = factor;
  if (!p.norm) return;
  for (int k = threadIdx.x; k < p.k; k += 512) p.norm[(int64_t)m * p.k + k] = x[k] * factor * plain_element(p.gamma_type, p.gamma, k);
}
