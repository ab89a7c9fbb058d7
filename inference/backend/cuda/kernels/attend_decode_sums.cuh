// What becomes of the warps' sums of decode attention (attend_decode.cu): those of a split are put
// together in the order of warps, those of a row's splits in theirs, by the block that ends last.
#pragma once
#include "attend_decode.cuh"

// COUNT bounds the query heads of a part. NEAR: a lane's words of a value lie together.
template <int T, int DIM, int COUNT = QUERIES, bool NEAR = false> struct DecodeSums : DecodePlace {
  static constexpr int STEPS = DIM / 16;                 // products over a key's elements
  static constexpr int VB = DIM / 64, VR = DIM % 64 / 16; // 16-byte loads of a value, then one of 4·VR
  static constexpr int PAIRS = VB * 4 + VR;              // words of a value in a lane
  static constexpr int EACH = COUNT > 1 ? 2 : 1, SEATS = 8 * ((COUNT + 1) / 2); // queries of a lane, lanes that have any
  static constexpr int ROOMS = DIM > 128 ? 1 : 2;        // for sums: one is read while the next is written

  struct __align__(16) Shared {
    uint4 queries[STEPS * 4 * COUNT]; // fragments, by product and lane
    float tops[ROOMS][WARPS][QUERIES], totals[ROOMS][WARPS][QUERIES];
    float weights[COUNT][MOST];
    float2 sums[ROOMS][WARPS][EACH][PAIRS][SEATS]; // by warp, query of a lane, pair of elements, lane
    bool last;
  };

  Shared &sh;
  int room = 0;        // of the sums to come
  const int seat = g * (SEATS / 8) + t;
  float sum[PAIRS][4]; // Vᵀ·Pᵀ: elements dim_of and the next, of queries 2t and 2t+1
  float top, total;    // of query g; total is this lane's share

  __device__ DecodeSums(const DecodeParams &p, Shared &sh) : DecodePlace(p), sh(sh) {}

  // The element that word i of a lane's value begins with.
  __device__ __forceinline__ int dim_of(int i) const {
    if (NEAR) return DIM / 8 * g + 2 * i;
    if (i < VB * 4) return i / 4 * 64 + 8 * g + i % 4 * 2;
    return VB * 64 + 2 * VR * g + (i - VB * 4) * 2;
  }

  __device__ __forceinline__ void clear() {
    top = -INFINITY, total = 0;
#pragma unroll
    for (int i = 0; i < PAIRS; i++) sum[i][0] = sum[i][1] = sum[i][2] = sum[i][3] = 0;
  }

  // Keeps the sums of splits in memory, for the block that ends last.
  struct Kept {
    const DecodeSums &of;
    __device__ __forceinline__ int64_t at(int query) const { return (int64_t)of.row * of.p.heads.q + of.head + query; }
    __device__ __forceinline__ void pair(int query, int d, float2 y) const { *(float2 *)(of.p.part + (at(query) * of.p.most + of.split) * DIM + d) = y; }
    __device__ __forceinline__ void peak(int query, float2 v) const {
      if (of.warp == 0 && of.g == 0) of.p.peaks[at(query) * of.p.most + of.split] = v;
    }
  };

  // Puts the warps' shares of a split together, in their order. keep takes them, where there is more than one.
  template <class Keep> __device__ __forceinline__ void flush(const Keep &keep) {
    total += __shfl_xor_sync(0xffffffff, total, 1);
    total += __shfl_xor_sync(0xffffffff, total, 2);
    if (ROOMS == 1) meet(); // the last sums have been read
    if (t == 0) sh.tops[room][warp][g] = top, sh.totals[room][warp][g] = total;
#pragma unroll
    for (int n = 0; n < EACH; n++)
      if (2 * t + n < count)
#pragma unroll
        for (int i = 0; i < PAIRS; i++) sh.sums[room][warp][n][i][seat] = make_float2(sum[i][n], sum[i][n + 2]);
    meet();
#pragma unroll
    for (int n = 0; n < EACH; n++)
      if (2 * t + n < count) join(n, keep);
    clear();
    room = (room + 1) % ROOMS;
  }

  // Query 2t+n of a split: warp w adds up every fourth pair of elements.
  template <class Keep> __device__ __forceinline__ void join(int n, const Keep &keep) {
    const int query = 2 * t + n;
    float factor[WARPS], peak = -INFINITY, all = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) factor[w] = sh.tops[room][w][query], peak = fmaxf(peak, factor[w]);
#pragma unroll
    for (int w = 0; w < WARPS; w++) factor[w] = exp2_fast(factor[w] - peak), all += factor[w] * sh.totals[room][w][query];
    const bool whole = cut.splits == 1;
    const float inverse = whole ? 1 / all : 1;
#pragma unroll
    for (int i = 0; i < PAIRS; i += WARPS) {
      if (i + warp >= PAIRS) continue;
      float2 y = make_float2(0, 0);
#pragma unroll
      for (int w = 0; w < WARPS; w++) {
        const float2 x = sh.sums[room][w][n][i + warp][seat];
        y.x = fmaf(factor[w], x.x, y.x), y.y = fmaf(factor[w], x.y, y.y);
      }
      const int d = dim_of(i + warp);
      if (whole) store(row, head + query, d, make_float2(y.x * inverse, y.y * inverse));
      else keep.pair(query, d, y);
    }
    if (!whole) keep.peak(query, make_float2(peak, all));
  }

  // Counts splits done, and tells every thread whether they were the last. The block's
  // writes come before the count, and what other blocks wrote is seen after it. Who has all of
  // them need not count.
  __device__ bool finished(int done) {
    __syncthreads();
    if (done == cut.splits) return true;
    if (threadIdx.x == 0) {
      uint32_t *ticket = p.tickets + row * parts() + part, before;
      asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(before) : "l"(ticket), "r"(done) : "memory");
      sh.last = before + done == cut.splits;
      if (sh.last) *ticket = 0;
    }
    __syncthreads();
    return sh.last;
  }

  // What each split's sums count for, by query, and what of all of them is 1. The sum of the weights is that
  // of every fourth split, in the order of splits, put together as sum_of_four does.
  __device__ __forceinline__ void weigh_splits(int64_t at) {
    float *shares = (float *)sh.sums + warp * MOST;
    for (int query = warp; query < count; query += WARPS) {
      const float2 *peaks = p.peaks + (at + query) * p.most;
      float2 x[MOST / 32];
      float peak = -INFINITY, all = 0;
#pragma unroll
      for (int i = 0; i < MOST / 32; i++) {
        x[i] = lane + 32 * i < cut.splits ? __ldcg(peaks + lane + 32 * i) : make_float2(-INFINITY, 0);
        peak = fmaxf(peak, x[i].x);
      }
      peak = warp_max(peak);
#pragma unroll
      for (int i = 0; i < MOST / 32; i++) sh.weights[query][lane + 32 * i] = exp2_fast(x[i].x - peak), shares[lane + 32 * i] = x[i].y;
      __syncwarp();
      for (int s = lane; lane < WARPS && s < cut.splits; s += WARPS) all = fmaf(sh.weights[query][s], shares[s], all);
      all = sum_of_four(all);
      if (lane == 0) sh.totals[0][0][query] = 1 / all;
      __syncwarp();
    }
  }

  // The sum over lanes that differ in their last two bits.
  static __device__ __forceinline__ float sum_of_four(float x) {
    x += __shfl_xor_sync(0xffffffff, x, 1);
    return x + __shfl_xor_sync(0xffffffff, x, 2);
  }

  // The block that finishes last adds the splits up: each warp every fourth of them, all
  // loads at once, then the warps' sums as sum_of_four does.
  __device__ void merge() {
    const int64_t at = (int64_t)row * p.heads.q + head;
    float4 *sums = (float4 *)sh.sums; // [WARPS][COUNT][DIM/4]
    weigh_splits(at);
    __syncthreads();
    for (int i = lane; i < count * (DIM / 4); i += 32) {
      const int query = i / (DIM / 4), d = i % (DIM / 4) * 4;
      const float *part = p.part + (at + query) * p.most * DIM + d;
      float4 y = make_float4(0, 0, 0, 0);
#pragma unroll 8
      for (int s = warp; s < cut.splits; s += WARPS) {
        const float4 x = __ldcg((const float4 *)(part + s * DIM));
        const float w = sh.weights[query][s];
        y.x = fmaf(w, x.x, y.x), y.y = fmaf(w, x.y, y.y), y.z = fmaf(w, x.z, y.z), y.w = fmaf(w, x.w, y.w);
      }
      sums[(warp * COUNT + query) * (DIM / 4) + d / 4] = y;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count * (DIM / 2); i += WARPS * 32) {
      const float2 *y = (const float2 *)sums + i;
      const float inverse = sh.totals[0][0][i / (DIM / 2)];
      const float2 a = y[0], b = y[COUNT * (DIM / 2)], c = y[2 * COUNT * (DIM / 2)], d = y[3 * COUNT * (DIM / 2)];
      store(row, head + i / (DIM / 2), i % (DIM / 2) * 2, make_float2((a.x + b.x + (c.x + d.x)) * inverse, (a.y + b.y + (c.y + d.y)) * inverse));
    }
  }
};
