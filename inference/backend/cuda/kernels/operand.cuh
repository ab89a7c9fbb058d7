// Operand order: how activations lie that the matrix unit multiplies (operand.go).
//
// x lies in blocks of 32 k, a block as groups of 8 rows, a group as 8 rows of 64 bytes whose
// 16-byte chunks are swizzled (chunk c of row r at c^r/2), as wgmma wants B in shared memory:
// a tile of any number of groups is one stretch of memory. Inside each 16 k the order is
// that of the weights: 0 1 4 5 8 9 12 13, then 2 3 6 7 10 11 14 15.
#pragma once
#include <stdint.h>

enum { GROUP_BYTES = 512 };

// Where k of a row lies in the packed form, in bytes; row counts in its group.
__device__ __forceinline__ uint32_t packed_at(uint32_t groups, uint32_t group, uint32_t row, uint32_t k) {
  const uint32_t place = (k & 2) * 4 + (k & 12) / 2 + (k & 1), chunk = (k & 16) / 8 + place / 8;
  return (k / 32 * groups + group) * GROUP_BYTES + row * 64 + (chunk ^ row / 2) * 16 + place % 8 * 2;
}
