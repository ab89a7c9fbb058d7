// A block's part of a record of quantised weights, where the blocks of a cluster share out its slices:
// the integers of 16, 8, 4 or 2 slices that follow each other, and what they are scaled with, of 8
// slices at least.
#pragma once
#include "quant.cuh"

// A piece of memory that a part comes in: all of it, or its integers, then its scales.
struct Piece { int from, to, bytes; }; // in the record, in the part

template <class Q> struct Portion {
  static __device__ __forceinline__ int integers(int blocks) { return WARPS / blocks * Q::SLICE; }
  static __device__ __forceinline__ int bytes(int blocks) { return blocks == 1 ? Q::BYTES : integers(blocks) + Q::SCALES; }
  static __device__ __forceinline__ int pieces(int blocks) { return blocks <= 2 ? 1 : 2; }

  static __device__ __forceinline__ Piece piece(int i, int rank, int blocks) {
    const int first = rank * (WARPS / blocks), half = first / 8 * Q::HALF;
    if (i > 0) return {half + 8 * Q::SLICE, integers(blocks), Q::SCALES};
    return {half + first % 8 * Q::SLICE, 0, blocks <= 2 ? bytes(blocks) : integers(blocks)};
  }
  // Where a lane finds its own in a part: of its slice number w, which is number `all` of the record.
  static __device__ __forceinline__ typename Q::At at(const unsigned char *part, int w, int all, int blocks, int lane) {
    if (blocks <= 2) return at_of<Q>(part, w, lane);
    return Q::at(part + w * Q::SLICE, part + integers(blocks), all % 8, lane);
  }
};
