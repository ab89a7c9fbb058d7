// Activations for stream.cu: float32 rows to bf16 in operand order (gemm.cuh), times the
// weights of the norm before. The norm's factors are for the sums, since that is how
// project.cu has them: squares are added in its order.
//
// Grid: a block of 128 a row. All that it loads is on its way at once: the kernel behind has
// filled its ring and waits. Rows that fill up 8 are left as they are: no result depends on
// them.
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

enum { THREADS = 4 * PER * WARPS, CHUNK = WARPS * PER * 16, AHEAD = 8 }; // loads under way of a thread

// The factor of a row, from the squares that the threads of a slice have.
__device__ __forceinline__ float row_factor(const StreamPackParams &p, float sum) {
  __shared__ float slices[WARPS];
  sum += __shfl_xor_sync(0xffffffff, sum, 4);
  sum += __shfl_xor_sync(0xffffffff, sum, 1);
  sum += __shfl_xor_sync(0xffffffff, sum, 2);
  if (threadIdx.x % 8 == 0) slices[threadIdx.x / 8] = sum;
  __syncthreads();
  sum = 0;
#pragma unroll
  for (int i = 0; i < WARPS; i++) sum += slices[i];
  return 1 / sqrtf(sum / p.k + p.eps);
}

// A thread's tiles of one round: weights of the norm, which are there before the rows are.
struct Round {
  float4 gamma[AHEAD];
  __device__ __forceinline__ Round(const StreamPackParams &p, int k) {
    if (!p.gamma) return;
#pragma unroll
    for (int i = 0; i < AHEAD; i++) gamma[i] = four(p.gamma_type, p.gamma, k + i * CHUNK < p.k ? k + i * CHUNK : 0);
  }
};

// Thread 8w+4j+t has tiles of index j of what lanes t of warp w have in project_take.cuh,
// and adds up as they do.
extern "C" __global__ void __launch_bounds__(THREADS) stream_pack(const __grid_constant__ StreamPackParams p) {
  const int m = blockIdx.x, w = threadIdx.x / 8, j = threadIdx.x / 4 % 2, t = threadIdx.x % 4, row = m % 8;
  const float *x = p.x + (int64_t)m * p.ldx;
  uint8_t *to = p.dst + (w * p.groups + m / 8) * GROUP_BYTES + row * 64 + 4 * t; // as packed_at has it
  int k = (w * PER + j) * 16 + 4 * t;
  let_next_start();
  Round round(p, k);
  wait_for_previous();
  float sum = 0;
  for (;;) {
    float4 v[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; i++) v[i] = load_x(x, k + i * CHUNK, p.k);
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      if (k + i * CHUNK >= p.tiles * 16) break;
      if (p.gamma) {
        sum += squares_of(v[i]);
        v[i] = times(v[i], round.gamma[i]);
      }
      *(uint32_t *)(to + (2 * j ^ row / 2) * 16) = pack(v[i].x, v[i].y);
      *(uint32_t *)(to + (2 * j + 1 ^ row / 2) * 16) = pack(v[i].z, v[i].w);
      to += WARPS * GROUP_BYTES * p.groups;
    }
    if ((k += AHEAD * CHUNK) >= p.tiles * 16) break;
    round = Round(p, k);
  }
  if (!p.gamma) return;
  const float factor = row_factor(p, sum);
  if (threadIdx.x == 0) p.factors[m] = factor;
  if (!p.norm) return;
  for (int k = threadIdx.x; k < p.k; k += THREADS) p.norm[(int64_t)m * p.k + k] = x[k] * factor * plain_element(p.gamma_type, p.gamma, k);
}
