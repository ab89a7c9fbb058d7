// What the kernels of the prefill phase have in common: a block has one query head of some
// rows of a sequence, a warp 16 of them, in the layout of the matrix unit's results: lane
// 4g+t holds rows g and g+8, columns 2t and 2t+1 of each 8.
#pragma once
#include "attend.cuh"
#include "operand.cuh"

enum { TILE = 64 }; // positions

struct PrefillParams {
  float *dst;
  const float *qkv;
  BatchParams batch;
  CacheParams cache;
  HeadsParams heads;
  const int32_t *tiles; // [tiles × 2] first row, rows
  int32_t groups, from; // dst is in operand order, bf16, of so many groups of rows, the first of which is row `from`; 0: F32
};

// 16 bytes to shared memory, zeros where there is nothing to read.
__device__ __forceinline__ void copy16(uint32_t to, const uint8_t *from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
}

template <int T, int DIM> struct PrefillRows {
  static constexpr int STEPS = DIM / 16, PIECES = DIM / 8; // products over a key's elements; its 16-byte pieces

  const PrefillParams &p;
  const int head = blockIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  int row, rows;   // of the block: the first, how many
  int first, last; // positions in sight of any of them
  int begin;       // position of the warp's first row
  int kv, shift;
  const int32_t *pages;

  float sum[DIM / 8][4], total[4]; // rows g and g+8
  float top[2];

  __device__ PrefillRows(const PrefillParams &p) : p(p) {
    row = p.tiles[2 * blockIdx.y], rows = p.tiles[2 * blockIdx.y + 1];
    const int position = p.batch.positions[row];
    last = position + rows - 1, begin = position + 16 * warp;
    first = p.heads.window > 0 ? max(0, position - p.heads.window + 1) : 0;
    kv = head / (p.heads.q / p.heads.kv), shift = 31 - __clz(p.cache.size);
    pages = p.batch.pages + p.batch.tables[row];
    top[0] = top[1] = -INFINITY;
#pragma unroll
    for (int i = 0; i < DIM / 8; i++) sum[i][0] = sum[i][1] = sum[i][2] = sum[i][3] = 0;
    total[0] = total[1] = total[2] = total[3] = 0;
  }

  // The row of the cache of position i of a tile, −1 out of sight.
  __device__ __forceinline__ int slot(int tile, int i) const {
    const int at = tile * TILE + i;
    if (at < first || at > last) return -1;
    return (pages[at >> shift] * p.heads.kv + kv << shift) + (at & p.cache.size - 1);
  }

  __device__ __forceinline__ void query(int s, uint32_t (&a)[4]) const {
    const float f = p.heads.scale * LOG2E;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int r = 16 * warp + g + i % 2 * 8;
      float2 x = make_float2(0, 0);
      if (r < rows)
        x = *(const float2 *)(p.qkv + ((int64_t)(row + r) * (p.heads.q + 2 * p.heads.kv) + head) * DIM + 16 * s + 2 * t + i / 2 * 8);
      a[i] = pack<T>(x.x * f, x.y * f);
    }
  }

  __device__ __forceinline__ void mask(float (&s)[TILE / 8][4], int tile) const {
    const int from = tile * TILE;
    if (from + TILE - 1 <= begin && (p.heads.window == 0 || from > begin + 15 - p.heads.window)) return;
#pragma unroll
    for (int n = 0; n < TILE / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int at = from + 8 * n + 2 * t + i % 2, me = begin + g + i / 2 * 8;
        if (at > me || p.heads.window > 0 && at <= me - p.heads.window) s[n][i] = -INFINITY;
      }
  }

  // Scores become weights, as fragments for the product with the values.
  __device__ __forceinline__ void weigh(float (&s)[TILE / 8][4], uint32_t (&w)[TILE / 16][4]) {
    float base[2], old[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
      float most = top[r];
#pragma unroll
      for (int n = 0; n < TILE / 8; n++) most = fmaxf(most, fmaxf(s[n][2 * r], s[n][2 * r + 1]));
      most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 1));
      most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 2));
      const float safe = most == -INFINITY ? 0 : most; // nothing in sight yet
      old[r] = exp2_fast(top[r] - safe), base[r] = safe - lift<T>, top[r] = most;
    }
#pragma unroll
    for (int i = 0; i < DIM / 8; i++) sum[i][0] *= old[0], sum[i][1] *= old[0], sum[i][2] *= old[1], sum[i][3] *= old[1];
    total[0] *= old[0], total[1] *= old[0], total[2] *= old[1], total[3] *= old[1];
#pragma unroll
    for (int n = 0; n < TILE / 8; n++)
#pragma unroll
      for (int r = 0; r < 2; r++)
        w[n / 2][n % 2 * 2 + r] = pack<T>(exp2_fast(s[n][2 * r] - base[r]), exp2_fast(s[n][2 * r + 1] - base[r]));
  }

  // The weights' sum: a product with ones.
  __device__ __forceinline__ void add_weights(const uint32_t (&w)[TILE / 16][4]) {
#pragma unroll
    for (int n = 0; n < TILE / 16; n++) mma<T>(total, w[n][0], w[n][1], w[n][2], w[n][3], two_ones<T>, two_ones<T>);
  }

  __device__ __forceinline__ void put() const {
#pragma unroll
    for (int r = 0; r < 2; r++) {
      const int at = 16 * warp + g + 8 * r;
      if (at >= rows) continue;
      const float inverse = 1 / total[2 * r];
      float *y = p.dst + ((int64_t)(row + at) * p.heads.q + head) * DIM + 2 * t;
      const int m = row + at - p.from;
#pragma unroll
      for (int i = 0; i < DIM / 8; i++) {
        const float2 v = make_float2(sum[i][2 * r] * inverse, sum[i][2 * r + 1] * inverse);
        if (p.groups) *(uint32_t *)((uint8_t *)p.dst + packed_at(p.groups, m / 8, m % 8, head * DIM + 8 * i + 2 * t)) = pack<BF16>(v.x, v.y);
        else *(float2 *)(y + 8 * i) = v;
      }
    }
  }
};
