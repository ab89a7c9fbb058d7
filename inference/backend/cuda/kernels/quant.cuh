// How weights in blocks of integers lie for the matrix unit (quant.go has the Go half): records
// of 16 rows × 512 k, as large as they were in the file. A record is what 16 warps take at a
// time, two tiles of 16 k each: integers of a lane together, in the order of its registers, then
// what they are scaled with.
//
// Integers become f16 without arithmetic: as mantissas of subnormal numbers, 2⁻²⁴ each, exact up
// to 10 bits. Those of rows g+8 may lie 4 bits higher (HIGHER). What an unsigned integer is too
// large by comes off the sums (OFFSET).
#pragma once
#include "projection.cuh"

enum { CHUNK = 512 }; // k of a record

__device__ __forceinline__ float low_half(uint32_t v) { return __half2float(__ushort_as_half((unsigned short)v)); }
__device__ __forceinline__ float high_half(uint32_t v) { return __half2float(__ushort_as_half((unsigned short)(v >> 16))); }

enum { UNITS = 1 << 24 }; // integers of 1

__device__ __forceinline__ void mma_f16(float (&c)[4], uint4 a, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

// v & mask | bits, in one instruction.
__device__ __forceinline__ uint32_t masked(uint32_t v, uint32_t mask, uint32_t bits) {
  uint32_t r;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(r) : "r"(v), "r"(mask), "r"(bits));
  return r;
}

// Four registers of A from nibbles: register r has those at bits 4r and 16+4r.
__device__ __forceinline__ uint4 from_nibbles(uint32_t v) {
  const uint32_t low = 0x000f000f, high = 0x00f000f0, rest = v >> 8;
  return make_uint4(v & low, v & high, rest & low, rest & high);
}

// A format has
//   WIDE      k that have one scale, 16 or 32
//   OFFSET    what its integers are too large by
//   HIGHER    what those of rows g+8 are multiplied by
//   MINUS     whether a minimum is subtracted
//   BYTES     of a record
//   STAGE     records of a stage of the ring
//   At, at    where in a record a lane finds its own; all functions below are told a record
//             by its distance from there
//   Bits, bits the integers of the lane's two tiles as they lie
//   tiles     their registers of A
//   Raw, load what rows g and g+8 of the warp are scaled with, as it lies
//   any       what cannot be known before all of Bits or Raw has been read
//   scale     of row half h (g or g+8) and tile u; minus: the minimum
template <int T> struct Quant;

// Scales that follow the integers: f16 of rows g and g+8.
template <int QUANTS> struct Halves {
  struct Raw { uint32_t d; };
  struct At { const unsigned char *q, *d; };
  static __device__ __forceinline__ void load(const At &a, int record, Raw &r) { r.d = *(const uint32_t *)(a.d + record); }
  static __device__ __forceinline__ uint32_t any(const Raw &r) { return r.d; }
  static __device__ __forceinline__ float scale(const Raw &r, int h, int) { return h ? high_half(r.d) : low_half(r.d); }
  static __device__ __forceinline__ float minus(const Raw &, int) { return 0; }
  static __device__ __forceinline__ At at(const unsigned char *record, int w, int lane) {
    return {record + (w * 32 + lane) * (QUANTS / 512), record + QUANTS + (w * 8 + lane / 4) * 4};
  }
};

template <> struct Quant<Q8_0> : Halves<8192> {
  using Halves<8192>::any;
  enum { WIDE = 32, OFFSET = 128, HIGHER = 1, MINUS = 0, BYTES = 8704, STAGE = 2 };
  static __device__ __forceinline__ uint4 tile(uint32_t v, uint32_t w) {
    return make_uint4(v & 0x00ff00ff, __byte_perm(v, 0, 0x4341), w & 0x00ff00ff, __byte_perm(w, 0, 0x4341));
  }
  typedef uint4 Bits;
  static __device__ __forceinline__ Bits bits(const At &from, int record) { return *(const uint4 *)(from.q + record); }
  static __device__ __forceinline__ uint32_t any(const Bits &b) { return b.x; }
  static __device__ __forceinline__ void tiles(const Bits &v, uint4 (&a)[2]) {
    a[0] = tile(v.x, v.y), a[1] = tile(v.z, v.w);
  }
};

template <> struct Quant<Q4_0> : Halves<4096> {
  using Halves<4096>::any;
  enum { WIDE = 32, OFFSET = 8, HIGHER = 16, MINUS = 0, BYTES = 4608, STAGE = 4 };
  typedef uint2 Bits;
  static __device__ __forceinline__ Bits bits(const At &from, int record) { return *(const uint2 *)(from.q + record); }
  static __device__ __forceinline__ uint32_t any(const Bits &b) { return b.x; }
  static __device__ __forceinline__ void tiles(const Bits &v, uint4 (&a)[2]) { a[0] = from_nibbles(v.x), a[1] = from_nibbles(v.y); }
};

template <> struct Quant<Q4_K> {
  enum { WIDE = 32, OFFSET = 0, HIGHER = 16, MINUS = 1, BYTES = 4608, STAGE = 4 };
  struct At { const unsigned char *q, *d, *low, *high; };
  static __device__ __forceinline__ At at(const unsigned char *record, int w, int lane) {
    const int g = lane / 4, row = w * 8 + g;
    return {record + (w * 32 + lane) * 8, record + 4096 + (w / 8 * 8 + g) * 8, record + 4224 + 2 * row, record + 4480 + row};
  }
  typedef uint2 Bits;
  static __device__ __forceinline__ Bits bits(const At &from, int record) { return *(const uint2 *)(from.q + record); }
  static __device__ __forceinline__ uint32_t any(const Bits &b) { return b.x; }
  static __device__ __forceinline__ void tiles(const Bits &v, uint4 (&a)[2]) { a[0] = from_nibbles(v.x), a[1] = from_nibbles(v.y); }
  struct Raw {
    uint2 d;            // of each row: d and dmin
    uint32_t low, high; // 16 and 8 bits, of each row 6 of the scale, then 6 of the minimum
  };
  static __device__ __forceinline__ void load(const At &a, int record, Raw &r) {
    r.d = *(const uint2 *)(a.d + record);
    r.low = *(const uint16_t *)(a.low + record), r.high = *(a.high + record);
  }
  static __device__ __forceinline__ uint32_t any(const Raw &r) { return r.d.x | r.low | r.high; }
  static __device__ __forceinline__ float level(const Raw &r, int at) { return (float)((r.low | r.high << 16) >> at & 63); }
  static __device__ __forceinline__ float scale(const Raw &r, int h, int) { return low_half(h ? r.d.y : r.d.x) * level(r, 12 * h); }
  static __device__ __forceinline__ float minus(const Raw &r, int h) { return high_half(h ? r.d.y : r.d.x) * level(r, 12 * h + 6); }
};

template <> struct Quant<Q6_K> {
  enum { WIDE = 16, OFFSET = 32, HIGHER = 16, MINUS = 0, BYTES = 6720, STAGE = 2 };
  struct At { const unsigned char *q, *high, *levels, *d; };
  static __device__ __forceinline__ At at(const unsigned char *record, int w, int lane) {
    const int g = lane / 4;
    return {record + (w * 32 + lane) * 8, record + 4096 + (w * 32 + lane) * 4, record + 6144 + (w * 8 + g) * 4, record + 6656 + (w / 8 * 8 + g) * 4};
  }
  // Two more bits of each integer: of the k-pairs 0 to 3 of a lane at bits 0, 2, 8 and 10, of
  // row g+8 four higher, of the pair's second 16 higher.
  static __device__ __forceinline__ void add(uint32_t &lo, uint32_t &hi, uint32_t high) { lo = masked(high, 0x00300030, lo), hi = masked(high, 0x03000300, hi); }
  struct Bits {
    uint2 low;
    uint32_t high;
  };
  static __device__ __forceinline__ Bits bits(const At &from, int record) {
    return {*(const uint2 *)(from.q + record), *(const uint32_t *)(from.high + record)};
  }
  static __device__ __forceinline__ uint32_t any(const Bits &b) { return b.low.x | b.high; }
  static __device__ __forceinline__ void tiles(const Bits &v, uint4 (&a)[2]) {
    a[0] = from_nibbles(v.low.x), a[1] = from_nibbles(v.low.y);
    add(a[0].x, a[0].y, v.high << 4), add(a[0].z, a[0].w, v.high << 2);
    add(a[1].x, a[1].y, v.high >> 4), add(a[1].z, a[1].w, v.high >> 6);
  }
  struct Raw {
    uint32_t levels; // int8 of each row and tile
    uint32_t d;
  };
  static __device__ __forceinline__ void load(const At &a, int record, Raw &r) {
    r.levels = *(const uint32_t *)(a.levels + record), r.d = *(const uint32_t *)(a.d + record);
  }
  static __device__ __forceinline__ uint32_t any(const Raw &r) { return r.levels | r.d; }
  static __device__ __forceinline__ float scale(const Raw &r, int h, int u) { return (h ? high_half(r.d) : low_half(r.d)) * (float)(int8_t)(r.levels >> (16 * h + 8 * u)); }
  static __device__ __forceinline__ float minus(const Raw &, int) { return 0; }
};
