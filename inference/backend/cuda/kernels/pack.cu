// Activations for the products of a prompt: float32 [n × columns] to bf16 in the packed form
// of gemm.cuh, with what comes before the product in the same pass.
//
//   pack_rows: y = x
//   pack_norm: y = x / sqrt(mean(x²) + eps) · w
//
// Grid: a block of 512 threads for every 4 rows, half of a group: 4 warps load a row, 128 k at a time each, and what
// becomes of it passes through shared memory, so that it is written in stretches of 256 bytes. Rows of more than PART k
// are read twice where there is a norm. k from cols up to a multiple of 64 are zeros; rows from n up to a multiple of 8 are
// left as they are, for no result depends on them.
//
// Measured on an H200, 2048 rows, read and written: 3.3 TB/s at 4096 k, 3.7 at 11008, with a norm 2.7 and 2.3; the limit is memory,
// 4.2 TB/s. Where a thread had 16 k of a row, read and written 64 and 16 bytes apart: 2.8, 3.0, 2.4 and 2.6 in the same run.
#include "gemm.cuh"

struct PackParams {
  uint8_t *dst;
  const float *x;
  const uint8_t *w; // [cols] of F32, F16 or BF16
  int32_t cols, groups, type;
  float eps;
  int32_t n, pad;
};

enum { ROWS = 4, ROW_WARPS = 4, THREADS = 32 * ROWS * ROW_WARPS };
enum { SPAN = ROW_WARPS * 128, KEPT = 8, PART = KEPT * SPAN }; // k that are loaded at once; of those in registers; k of a part
enum { BLOCKS = PART / 32, STRIDE = ROWS * 64 + 16 };          // of 32 k in a part; bytes from one to the next, so that banks differ

struct PackShared {
  uint8_t blocks[BLOCKS][STRIDE];
  float sums[ROWS * ROW_WARPS];
};

// x[k..k+4), zeros from cols on.
__device__ __forceinline__ float4 load4(const float *x, int k, int cols) {
  if (k + 4 <= cols && (uintptr_t)(x + k) % 16 == 0) return *(const float4 *)(x + k);
  return make_float4(k < cols ? x[k] : 0, k + 1 < cols ? x[k + 1] : 0, k + 2 < cols ? x[k + 2] : 0, k + 3 < cols ? x[k + 3] : 0);
}

__device__ __forceinline__ float4 load4_weights(const PackParams &p, int k) {
  if (p.type == F32) return load4((const float *)p.w, k, p.cols);
  const uint16_t *w = (const uint16_t *)p.w + k;
  uint16_t h[4] = {};
  if (k + 4 <= p.cols && (uintptr_t)w % 8 == 0) {
    *(uint2 *)h = *(const uint2 *)w;
  } else {
#pragma unroll
    for (int i = 0; i < 4; i++)
      if (k + i < p.cols) h[i] = w[i];
  }
  const auto v = [&](int i) { return p.type == F16 ? __half2float(__ushort_as_half(h[i])) : __bfloat162float(__ushort_as_bfloat16(h[i])); };
  return make_float4(v(0), v(1), v(2), v(3));
}

template <bool NORM> struct Pack {
  const PackParams &p;
  PackShared &sh;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = warp / ROW_WARPS; // row of the block
  const int first = warp % ROW_WARPS * 128 + lane * 4;                               // k of a part
  const int left = p.n - (int)blockIdx.x * ROWS;                                     // rows from the block's first on
  const int end = (p.cols + 63) / 64 * 64;
  const float *const x = p.x + (int64_t)min((int)blockIdx.x * ROWS + row, p.n - 1) * p.cols;
  float4 v[KEPT];
  float scale;

  __device__ __forceinline__ void load(int part) {
#pragma unroll
    for (int i = 0; i < KEPT; i++) v[i] = load4(x, part + first + i * SPAN, p.cols);
  }

  // The norm's factor of the row, in an order that is always the same. Ends with the first part at hand.
  __device__ __forceinline__ void find_scale() {
    float sum = 0;
    for (int part = (p.cols - 1) / PART * PART; part >= 0; part -= PART) {
      load(part);
#pragma unroll
      for (int i = 0; i < KEPT; i++) sum = fmaf(v[i].x, v[i].x, fmaf(v[i].y, v[i].y, fmaf(v[i].z, v[i].z, fmaf(v[i].w, v[i].w, sum))));
    }
    sum = warp_sum(sum);
    if (lane == 0) sh.sums[warp] = sum;
    __syncthreads();
    const float *of = sh.sums + row * ROW_WARPS;
    scale = 1 / sqrtf((of[0] + of[1] + (of[2] + of[3])) / p.cols + p.eps);
  }

  // Puts what is at hand where it lies in the packed form, half a group of it.
  __device__ __forceinline__ void put(int part) {
    const int of_group = blockIdx.x % 2 * ROWS + row;
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
      const int k = first + i * SPAN;
      if (part + k >= end) continue;
      if (NORM) {
        const float4 w = load4_weights(p, part + k);
        v[i] = make_float4(v[i].x * scale * w.x, v[i].y * scale * w.y, v[i].z * scale * w.z, v[i].w * scale * w.w);
      }
      uint8_t *to = sh.blocks[k / 32] - blockIdx.x % 2 * (ROWS * 64);
      *(uint32_t *)(to + packed_at(0, 0, of_group, k % 32)) = pack(v[i].x, v[i].y);
      *(uint32_t *)(to + packed_at(0, 0, of_group, k % 32 + 2)) = pack(v[i].z, v[i].w);
    }
  }

  // Writes the part from there: 16 lanes a block of 32 k.
  __device__ __forceinline__ void write(int part) {
    const int at = lane % 16 * 16, blocks = min((int)BLOCKS, (end - part) / 32);
    if (lane % 16 / 4 >= left) return;
    for (int b = 2 * warp + lane / 16; b < blocks; b += 2 * ROWS * ROW_WARPS)
      *(uint4 *)(p.dst + (int64_t)((part / 32 + b) * p.groups + blockIdx.x / 2) * GROUP_BYTES + blockIdx.x % 2 * (ROWS * 64) + at) = *(const uint4 *)(sh.blocks[b] + at);
  }

  __device__ __forceinline__ void run() {
    wait_for_previous();
    let_next_start();
    if (NORM) find_scale();
    for (int part = 0; part < p.cols; part += PART) {
      if (!NORM || part > 0) load(part);
      put(part);
      __syncthreads();
      write(part);
      __syncthreads();
    }
  }
};

template <bool NORM> __device__ __forceinline__ void pack_rows_of(const PackParams &p) {
  __shared__ __align__(16) PackShared sh;
  Pack<NORM>{p, sh}.run();
}

extern "C" {
__global__ void __launch_bounds__(THREADS, 2) pack_rows(const __grid_constant__ PackParams p) { pack_rows_of<false>(p); }
__global__ void __launch_bounds__(THREADS, 2) pack_norm(const __grid_constant__ PackParams p) { pack_rows_of<true>(p); }
}
