// Activations of up to 32 decode rows as quant_cluster.cu takes them: integers and their scales as in
// quant_take.cuh, in memory, by the chunk, so that a block of a cluster copies what it has of one,
// and in the order in which its lanes load them: lane 4g+t for row g/2 of four, high or low bytes.
#pragma once
#include "quant_take.cuh"

enum { MOST_ROWS = 32 };

// Rows of activations, 8·GROUPS, in chunks of 16 slices, or what a block has of them.
//   x      [chunk][slice][group][lane]: k 4t..4t+3 of a row of the group's first four, 16 more; the same of its other four
//   scales [chunk][slice][16 k or 32][t][row 4i+t]: bf16, for it is a power of two
//   common [chunk][slice][16 k or 32][t][row 4i+t]: what belongs to the sum, if the format has that
template <class Q> struct RowBytes {
  enum { HALVES = 32 / Q::WIDE, X = 64, SCALES = 2 * HALVES, COMMON = Q::OFFSET || Q::MINUS ? 4 * HALVES : 0 }; // of a row's slice
};
template <class Q> struct Rows : RowBytes<Q> {
  typedef RowBytes<Q> B;
  unsigned char *x, *scales, *common;
  int chunks, rows, slices, own, all; // slices of a chunk; the warp's among them, and among all 16

  __device__ __forceinline__ Rows(unsigned char *memory, int chunks, int rows, int slices, int own, int all)
      : x(memory), scales(x + chunks * slices * rows * B::X), common(scales + chunks * slices * rows * B::SCALES), chunks(chunks), rows(rows), slices(slices),
        own(own), all(all) {}
  // As in Taken.
  __device__ __forceinline__ int slice() const { return all; }
  template <class> __device__ __forceinline__ void store(int chunk, int m, int half, int t, const Four &f, float scale) const {
    const int at = (chunk * slices + own) * rows;
    uint32_t *to = (uint32_t *)(x + at * B::X) + m / 8 * 128 + (m % 4 * 8 + t) * 4 + m % 8 / 4 * 2 + half;
    to[0] = f.high, to[16] = f.low;
    if (t != 0 || half >= B::HALVES) return;
    const int place = at * B::HALVES + half * rows + m % 4 * (rows / 4) + m / 4;
    ((uint16_t *)scales)[place] = (uint16_t)(__float_as_uint(scale) >> 16);
    if (B::COMMON) ((float *)common)[place] = ::common<Q>(f.sum, scale);
  }
};
