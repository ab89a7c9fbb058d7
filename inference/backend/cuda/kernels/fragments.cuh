// How activations of decode rows lie in bf16 for stream.cu: as the fragments of the matrix unit.
//
// x lies in blocks of 32 k, a block as groups of 8 rows, a group as the 16 bytes of each lane: of lane 4g+t, what it
// has of row g as B of two products of m16n8k16, whose k are in the order of the weights'.
#pragma once
#include <stdint.h>

enum { FRAGMENT_BYTES = 512 }; // of a group

// Where k of a row lies, in bytes; row counts in its group. Eight elements further, of the same 16, is NEXT_EIGHT.
enum { NEXT_EIGHT = 32 };
__device__ __forceinline__ uint32_t fragment_at(uint32_t groups, uint32_t group, uint32_t row, uint32_t k) {
  return (k / 32 * groups + group) * FRAGMENT_BYTES + row * 64 + (k & 12) * 4 + (k & 16) / 2 + (k & 3) * 2;
}
