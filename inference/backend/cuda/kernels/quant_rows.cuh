// Activations of up to 32 decode rows as quant_cluster.cu takes them: integers and their scales as in
// quant_take.cuh, in memory, by the chunk, so that a block of a cluster copies what it has of one.
#pragma once
#include "quant_take.cuh"

enum { MOST_ROWS = 32 };

// Rows of activations, a multiple of 8, in chunks of 16 slices, or what a block has of them.
//   x      [chunk][slice][row][high, low][t] of 8 bytes: k 4t..4t+3, then 16 more
//   scales [chunk][slice][16 k or 32][row]: the scale, and what belongs to the sum (common)
template <int HALVES> struct Rows {
  uint2 *x;
  float2 *scales;
  int chunks, rows, slices, own, all; // slices of a chunk; the warp's among them, and among all 16

  __device__ __forceinline__ Rows(unsigned char *memory, int chunks, int rows, int slices, int own, int all)
      : x((uint2 *)memory), scales((float2 *)(memory + (int64_t)chunks * slices * rows * 64)), chunks(chunks), rows(rows), slices(slices), own(own), all(all) {}
  __device__ __forceinline__ int slice() const { return all; }
  __device__ __forceinline__ uint2 *row_at(int chunk, int m) const { return &x[((chunk * slices + own) * rows + m) * 8]; }
  template <int N> __device__ __forceinline__ float2 *scale_at(int chunk, int half, int m) const {
    static_assert(N == HALVES, "");
    return &scales[((chunk * slices + own) * N + half) * rows + m];
  }
};
