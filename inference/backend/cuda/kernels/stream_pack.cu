// Activations for stream.cu and project.cu where no kernel has left them: float32 rows to bf16, as
// fragments or as rows, times the weights of the norm before. The norm's factors
// are for the sums; squares are left for them as ADD leaves them.
//
// Grid: a block of 128 a row. All that it loads is on its way at once: the kernel behind has
// filled its ring and waits. Rows that fill up 8 are left as they are: no result depends on
// them.
#include "fragments.cuh"
#include "project_take.cuh"

struct StreamPackParams {
  uint8_t *dst;
  const float *x;
  const uint8_t *gamma; // null: no norm
  float *squares, *norm; // squares: [m × ceil(k/16)] of x, in parts; norm: where the normed rows go, null: nowhere
  int32_t k, ldx, tiles, groups, gamma_type; // groups 0: rows of bf16, k/2 floats apart
  float eps;
};

enum { THREADS = 128, CHUNK = 4 * THREADS, AHEAD = 8 }; // k of a round; loads under way of a thread

// A thread's tiles of one round: weights of the norm, which are there before the rows are.
struct Round {
  float4 gamma[AHEAD];
  __device__ __forceinline__ Round(const StreamPackParams &p, int k) {
    if (!p.gamma) return;
#pragma unroll
    for (int i = 0; i < AHEAD; i++) gamma[i] = four(p.gamma_type, p.gamma, k + i * CHUNK < p.k ? k + i * CHUNK : 0);
  }
};

// The sum of the squares of 16 elements that four threads have, with the order in which ADD leaves it
// (leave_square in project_finish.cuh): elements eight apart, then their neighbours.
__device__ __forceinline__ float squares_of_sixteen(float4 v) {
  float4 far;
  far.x = __shfl_xor_sync(0xffffffff, v.x, 2), far.y = __shfl_xor_sync(0xffffffff, v.y, 2);
  far.z = __shfl_xor_sync(0xffffffff, v.z, 2), far.w = __shfl_xor_sync(0xffffffff, v.w, 2);
  if (threadIdx.x & 2) { // the other has the first eight
    const float4 own = v;
    v = far, far = own;
  }
  const float sum = (fmaf(v.x, v.x, far.x * far.x) + fmaf(v.y, v.y, far.y * far.y)) + (fmaf(v.z, v.z, far.z * far.z) + fmaf(v.w, v.w, far.w * far.w));
  return sum + __shfl_xor_sync(0xffffffff, sum, 1);
}

// Where four elements from k on go.
__device__ __forceinline__ uint2 *target(const StreamPackParams &p, int m, int k) {
  return (uint2 *)(p.groups ? p.dst + fragment_at(p.groups, m / 8, m % 8, k) : p.dst + ((int64_t)m * p.k + k) * 2);
}

// The normed row, for who reads it later.
__device__ void write_norm(const StreamPackParams &p, int m, const float *x) {
  __shared__ float part[THREADS / 32];
  float sum = 0;
  for (int k = threadIdx.x; k < p.k; k += THREADS) sum = fmaf(x[k], x[k], sum);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
  for (int i = 0; i < THREADS / 32; i++) sum += part[i];
  const float factor = 1 / sqrtf(sum / p.k + p.eps);
  for (int k = threadIdx.x; k < p.k; k += THREADS) p.norm[(int64_t)m * p.k + k] = x[k] * factor * plain_element(p.gamma_type, p.gamma, k);
}

// Four threads have the tiles of 16 k, every 32nd.
extern "C" __global__ void __launch_bounds__(THREADS) stream_pack(const __grid_constant__ StreamPackParams p) {
  const int m = blockIdx.x;
  const float *x = p.x + (int64_t)m * p.ldx;
  let_next_start();
  int k = 4 * threadIdx.x;
  Round round(p, k);
  wait_for_previous();
  const int end = p.groups ? p.tiles * 16 : p.k;
  for (;;) {
    float4 v[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; i++) v[i] = load_x(x, k + i * CHUNK, p.k);
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      const int at = k + i * CHUNK;
      const float sum = squares_of_sixteen(v[i]);
      if (p.gamma) v[i] = times(v[i], round.gamma[i]);
      if (p.gamma && threadIdx.x % 4 == 0 && at < p.k) p.squares[(int64_t)m * ((p.k + 15) / 16) + at / 16] = sum;
      if (at >= end) continue;
      *target(p, m, at) = make_uint2(pack(v[i].x, v[i].y), pack(v[i].z, v[i].w));
    }
    if ((k += AHEAD * CHUNK) - 4 * (int)threadIdx.x >= end) break;
    round = Round(p, k);
  }
  if (p.norm) write_norm(p, m, x);
}
