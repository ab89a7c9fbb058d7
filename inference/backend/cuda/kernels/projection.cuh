// What the kernels for weights in fragment order share (layout.go defines the order).
#pragma once
#include "paged.cuh"

// How the rows of a matrix lie in its strips of 16, and what pairs of them mean.
enum Kind { NATURAL, GATE_UP, HALVES, NEIGHBOURS };
enum Epilogue { STORE, ADD, SWIGLU, ROPE };

struct Part {
  const uint4 *w;      // [strip][k16][lane]
  const uint8_t *bias; // null: none
  int32_t strips, rows, col, kind, span, bias_type, first, format; // first: of these strips in their matrix
};

// Output columns, within a part, of rows g and g+8 of one of its strips.
__device__ __forceinline__ void columns(const Part &p, int strip, int g, int *lo, int *hi) {
  strip += p.first;
  switch (p.kind) {
    case GATE_UP: *lo = 8 * strip + g, *hi = p.span + *lo; return;
    case HALVES: {
      int per = p.span / 16, head = strip / per;
      *lo = head * p.span + 8 * (strip % per) + g, *hi = *lo + p.span / 2;
      return;
    }
    case NEIGHBOURS: *lo = 16 * strip + 2 * g, *hi = *lo + 1; return;
  }
  *lo = 16 * strip + g, *hi = *lo + 8;
}

__device__ __forceinline__ void mma(float (&c)[4], uint4 a, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

// Zero, but not before v has come: an address that it is added to waits for a load. What
// gives memory back at a barrier needs that. The compiler moves an arrival between a load
// and the first use of its result, and then the arrival may overtake the load: others
// write where it has yet to read. (Weights of the next tile were read, now and then, by
// warps that were late.) The grids here are one block deep, which a compiler cannot know.
__device__ __forceinline__ uint32_t once_loaded(uint32_t v) { return v & (gridDim.z - 1); }

__device__ __forceinline__ uint32_t pack(float lo, float hi) {
  __nv_bfloat162 v = __floats2bfloat162_rn(lo, hi);
  return *(uint32_t *)&v;
}
