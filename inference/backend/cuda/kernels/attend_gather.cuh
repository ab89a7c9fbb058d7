// The sums of the splits of a part of a row, where they meet in shared memory: attend_cluster.cu, attend_teams.cu.
#pragma once
#include "attend_ring.cuh"
#include "hopper.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
template <int T, int DIM, int COUNT> struct DecodeGather : DecodeRing<T, DIM, COUNT> {
  typedef DecodeRing<T, DIM, COUNT> Ring;
  using Ring::cut, Ring::lane, Ring::row, Ring::head, Ring::count, Ring::store, Ring::sum_of_four;

  const int shift, pairs;  // pairs of elements that are put together here, a power of two
  float2 *const sent;      // of each split: peaks of its queries, then their sums, pair by pair

  // Of the elements, one of so many parts is put together here.
  __device__ __forceinline__ DecodeGather(const DecodeParams &p, uint8_t *memory, uint8_t *sent, int parts)
      : Ring(p, memory), shift(31 - __clz(DIM / 2 / parts)), pairs(1 << shift), sent((float2 *)sent) {}

  __device__ __forceinline__ float2 *peak_at(int split, int query) const { return sent + split * COUNT * (1 + pairs) + query; }
  __device__ __forceinline__ float2 *sum_at(int split, int query, int pair) const { return sent + split * COUNT * (1 + pairs) + COUNT + query * pairs + pair; }

  // Adds the splits up, one of so many warps: a pair of elements by four lanes with every fourth split each. rank: of the
  // parts.
  __device__ __forceinline__ void merge(int rank, int warp, int warps) const {
    const int from = lane % WARPS, n = count << shift;
#pragma unroll 1
    for (int first = warp * 8; first < n; first += warps * 8) {
      const int i = min(first + lane / WARPS, n - 1), query = i >> shift, at = i & pairs - 1;
      float peak = -INFINITY, all = 0;
      float2 y = make_float2(0, 0);
#pragma unroll 1
      for (int s = from; s < cut.splits; s += WARPS) peak = fmaxf(peak, peak_at(s, query)->x);
      peak = fmaxf(peak, __shfl_xor_sync(0xffffffff, peak, 1));
      peak = fmaxf(peak, __shfl_xor_sync(0xffffffff, peak, 2));
#pragma unroll 1
      for (int s = from; s < cut.splits; s += WARPS) {
        const float2 x = *sum_at(s, query, at), of = *peak_at(s, query);
        const float w = exp2_fast(of.x - peak);
        all = fmaf(w, of.y, all), y.x = fmaf(w, x.x, y.x), y.y = fmaf(w, x.y, y.y);
      }
      const float inverse = 1 / sum_of_four(all);
      y.x = sum_of_four(y.x), y.y = sum_of_four(y.y);
      if (from == 0 && first + lane / WARPS < n) store(row, head + query, 2 * (rank * pairs + at), make_float2(y.x * inverse, y.y * inverse));
    }
  }
};
#endif
