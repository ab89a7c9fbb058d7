// What the parts of the projection kernels share (project.cu).
#pragma once
#include "projection.cuh"

enum { WARPS = 16, PER = 2, STAGE = WARPS * PER * 512, STAGES = 11 };

// How results lie for the projection behind: float32; rows of bf16, for a kernel that wants packed_x;
// bf16 as fragments, of so many groups, for stream.cu.
enum PackedDst { FLOATS, ROWS, FRAGMENTS };

// What ADD leaves for the projection behind: the sums times the weights of the norm between,
// in bf16, and the squares from which that projection has the norm's factor.
struct Left {
  uint8_t *dst;    // null: nothing is left
  float *squares;  // [m × strips]: of 16 sums each
  const uint8_t *gamma;
  int32_t ld, gamma_type, order, end; // of ROWS the distance in floats, of FRAGMENTS the groups; PackedDst; zeros fill FRAGMENTS up to k = end
};

struct ProjectParams {
  Part part[3];
  const float *x;       // [m × ldx], or bf16 in its place
  const uint8_t *gamma; // of the norm before, null: none
  float *dst, *norm;    // norm: where the normed x goes, null: nowhere
  float *pairs;         // what SwiGLU has multiplied [m × 2·span], null: nowhere
  const float *cos, *sin; // [positions × span/2]
  BatchParams batch;
  CacheParams cache;
  int32_t parts, strips, m, k, ldx, ldd;
  int32_t gamma_type, epilogue, k0, tiles; // first k; k16 tiles of a strip
  int32_t kv, packed_x;                    // heads of keys; whether x is bf16, rows as far apart
  float eps;
  int32_t packed_dst;                      // how SwiGLU writes: PackedDst
  uint32_t *tickets;                       // strips taken of those that no block owns, zero before; null: all are owned
  int32_t own, arrive;                     // strips that each block owns, with tickets; lanes that arrive for a warp (ring.cuh)
  const float *squares;                    // of the norm that x is times the weights of [m × squares_of], in parts; null: none
  int32_t squares_of, pad;
  Left left;
};

// The part that a strip is of, by its number: a pointer to parameters is followed through memory where
// the compiler loses sight of what it points to.
__device__ __forceinline__ int part_of(const ProjectParams &p, int strip, int *within) {
  int i = 0;
  while (i + 1 < p.parts && strip >= p.part[i].strips) strip -= p.part[i++].strips;
  *within = strip;
  return i;
}

// Where the tiles of a strip begin that the kernel multiplies.
__device__ __forceinline__ const uint4 *strip_at(const ProjectParams &p, int strip) {
  int within;
  const Part &part = p.part[part_of(p, strip, &within)];
  return part.w + ((int64_t)within * p.tiles + p.k0 / 16) * 32;
}

// Where a row of activations is in its sequence: two loads in a row, so they begin early.
struct Place {
  int64_t row; // where its key and value go: the cache's row of head 0
  int32_t position;
};

enum { JOBS = 16 }; // more than the ring has stages

struct Room {
  float4 sums[2][WARPS][32];
  float squares[WARPS][8], factors[8];
  Place places[8];
  uint64_t full[STAGES], empty[STAGES];
  int jobs[JOBS]; // strips that were taken by ticket, by their number in the block; -1: there is no more
};
