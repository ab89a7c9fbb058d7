// How weights in blocks of integers lie for the matrix unit (quant.go has the Go half): records
// of 16 rows × 512 k, as large as they were in the file. A record is what 16 warps take at a
// time, 32 k each, their slices: of each 8 of them first the integers, those of a lane together,
// in the order of its registers, then what they are scaled with.
//
// Integers of 8 bits are multiplied as they lie. Where two share a byte, rows g+8 multiply the whole of
// it (SHARED): what row g has of it comes off their sums, which leaves 16 times their own (TIMES). What
// an unsigned integer is too large by comes off, too (OFFSET).
#pragma once
#include "projection.cuh"

enum { CHUNK = 512 }; // k of a record

__device__ __forceinline__ float low_half(uint32_t v) { return __half2float(__ushort_as_half((unsigned short)v)); }
__device__ __forceinline__ float high_half(uint32_t v) { return __half2float(__ushort_as_half((unsigned short)(v >> 16))); }

// c += A·B in integers, A [16 × 32] of 8 bits, with a sign or without, B [32 × 8] with one. Lane 4g+t
// holds rows g (c0, c1; a0, a2) and g+8 (c2, c3; a1, a3) at columns 2t, 2t+1 of c, at k = 4t to
// 4t+3 (a0, a1, b0) and 16 more (a2, a3, b1), and column g of B.
template <bool SIGNED> __device__ __forceinline__ void mma_int8(int (&c)[4], const uint4 &a, uint32_t b0, uint32_t b1) {
  if constexpr (SIGNED)
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
  else
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

// The same of 16 k, of integers without a sign: A [16 × 16] in a0 and a1.
__device__ __forceinline__ void mma_int8(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t b0) {
  asm("mma.sync.aligned.m16n8k16.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a0), "r"(a1), "r"(b0));
}

// v & mask | bits, in one instruction.
__device__ __forceinline__ uint32_t masked(uint32_t v, uint32_t mask, uint32_t bits) {
  uint32_t r;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(r) : "r"(v), "r"(mask), "r"(bits));
  return r;
}

// v where mask has ones, else w.
__device__ __forceinline__ uint32_t picked(uint32_t mask, uint32_t v, uint32_t w) {
  uint32_t r;
  asm("lop3.b32 %0, %1, %2, %3, 0xe2;" : "=r"(r) : "r"(v), "r"(mask), "r"(w));
  return r;
}

enum : uint32_t { LOW_NIBBLES = 0x0f0f0f0f };

// A format has
//   WIDE      k that have one scale, 16 or 32
//   SIGNED    whether its integers have a sign
//   OFFSET    what its integers are too large by
//   TIMES     what integers of row g+8 are multiplied by
//   SHARED    whether row g's are added to them: rows g and g+8 share bytes
//   MINUS     whether a minimum is subtracted
//   SLICE     bytes of a slice's integers
//   SCALES    bytes of what those of 8 slices are scaled with, behind their integers
//   HALF      of both; BYTES: of a record, which are two
//   STAGE     records of a stage of the ring
//   At, at    where a lane finds its own: of a slice's integers, and of what w-th of 8 slices is
//             scaled with; all functions below are told a record by its distance from there
//   Bits, bits  the integers of a lane as they lie
//   registers   the same as registers of A
//   Raw, load what rows g and g+8 of the warp are scaled with, as it lies
//   any       what cannot be known before all of Bits or Raw has been read
//   scale     of row half h (g or g+8, divided by TIMES) and 16 k number u; minus: the minimum
template <int T> struct Quant;

// A lane's place in a record.
template <class Q> __device__ __forceinline__ typename Q::At at_of(const unsigned char *record, int w, int lane) {
  record += w / 8 * Q::HALF;
  return Q::at(record + w % 8 * Q::SLICE, record + 8 * Q::SLICE, w % 8, lane);
}

template <int SLICE_, int SCALES_> struct Sizes { enum { SLICE = SLICE_, SCALES = SCALES_, HALF = 8 * SLICE + SCALES, BYTES = 2 * HALF }; };

// Scales of f16 of rows g and g+8.
template <int LANE, int TIMES> struct Halves {
  struct Raw { uint32_t d; };
  struct At { const unsigned char *q, *d; };
  static __device__ __forceinline__ void load(const At &a, int record, Raw &r) { r.d = *(const uint32_t *)(a.d + record); }
  static __device__ __forceinline__ uint32_t any(const Raw &r) { return r.d; }
  static __device__ __forceinline__ float scale(const Raw &r, int h, int) { return h ? high_half(r.d) * (1.0f / TIMES) : low_half(r.d); }
  static __device__ __forceinline__ float minus(const Raw &, int) { return 0; }
  static __device__ __forceinline__ At at(const unsigned char *q, const unsigned char *scales, int w, int lane) { return {q + lane * LANE, scales + (w * 8 + lane / 4) * 4}; }
};

template <> struct Quant<Q8_0> : Halves<16, 1>, Sizes<512, 256> {
  using Halves<16, 1>::any;
  enum { WIDE = 32, SIGNED = 1, OFFSET = 0, TIMES = 1, SHARED = 0, MINUS = 0, STAGE = 2 };
  typedef uint4 Bits;
  static __device__ __forceinline__ Bits bits(const At &from, int record) { return *(const uint4 *)(from.q + record); }
  static __device__ __forceinline__ uint32_t any(const Bits &b) { return b.x; }
  static __device__ __forceinline__ uint4 registers(const Bits &b) { return b; }
};

// Integers of 4 bits: a word has those of 16 k, row g in the low ones. A lane's words lie apart, so that each is loaded
// where it is multiplied, without a move.
struct Nibbles {
  struct Bits { uint32_t first, second; };
  static __device__ __forceinline__ Bits bits(const unsigned char *q) { return {*(const uint32_t *)q, *(const uint32_t *)(q + 128)}; }
  static __device__ __forceinline__ uint4 registers(const Bits &b) { return make_uint4(b.first & LOW_NIBBLES, b.first, b.second & LOW_NIBBLES, b.second); }
};

template <> struct Quant<Q4_0> : Halves<4, 16>, Sizes<256, 256> {
  using Halves<4, 16>::any;
  enum { WIDE = 32, SIGNED = 0, OFFSET = 8, TIMES = 16, SHARED = 1, MINUS = 0, STAGE = 4 };
  typedef Nibbles::Bits Bits;
  static __device__ __forceinline__ Bits bits(const At &from, int record) { return Nibbles::bits(from.q + record); }
  static __device__ __forceinline__ uint32_t any(const Bits &b) { return b.first | b.second; }
  static __device__ __forceinline__ uint4 registers(const Bits &b) { return Nibbles::registers(b); }
};

template <> struct Quant<Q4_K> : Sizes<256, 256> {
  enum { WIDE = 32, SIGNED = 0, OFFSET = 0, TIMES = 16, SHARED = 1, MINUS = 1, STAGE = 4 };
  struct At { const unsigned char *q, *d, *low, *high; };
  static __device__ __forceinline__ At at(const unsigned char *q, const unsigned char *scales, int w, int lane) {
    const int g = lane / 4, row = w * 8 + g;
    return {q + lane * 4, scales + g * 8, scales + 64 + 2 * row, scales + 192 + row};
  }
  typedef Nibbles::Bits Bits;
  static __device__ __forceinline__ Bits bits(const At &from, int record) { return Nibbles::bits(from.q + record); }
  static __device__ __forceinline__ uint32_t any(const Bits &b) { return b.first | b.second; }
  static __device__ __forceinline__ uint4 registers(const Bits &b) { return Nibbles::registers(b); }
  struct Raw {
    uint2 d;            // of each row: d and dmin
    uint32_t low, high; // 16 and 8 bits, of each row 6 of the scale, then 6 of the minimum
  };
  static __device__ __forceinline__ void load(const At &a, int record, Raw &r) {
    r.d = *(const uint2 *)(a.d + record);
    r.low = *(const uint16_t *)(a.low + record), r.high = *(a.high + record);
  }
  static __device__ __forceinline__ uint32_t any(const Raw &r) { return r.d.x | r.low | r.high; }
  // The six bits of v from AT on, as a float, divided by a power of two: a larger one has them behind it.
  template <int AT, int BY = 1> static __device__ __forceinline__ float level(uint32_t v) {
    constexpr uint32_t power = 127 + 23 - AT - __builtin_ctz(BY) << 23;
    return __uint_as_float(masked(v, 63 << AT, power)) - __uint_as_float(power);
  }
  static __device__ __forceinline__ float scale(const Raw &r, int h, int) { return h ? low_half(r.d.y) * level<12, TIMES>(r.low | r.high << 16) : low_half(r.d.x) * level<0>(r.low); }
  static __device__ __forceinline__ float minus(const Raw &r, int h) { return h ? high_half(r.d.y) * level<2>(r.high) : high_half(r.d.x) * level<6>(r.low); }
};

// Integers of 6 bits: a nibble of each, row g in the low ones, and two bits elsewhere, so that those of two registers are
// where they belong after one mask. Row g has four times less in a byte than row g+8, whose nibble is above its two bits.
template <> struct Quant<Q6_K> : Sizes<384, 288> {
  enum { WIDE = 16, SIGNED = 0, OFFSET = 32, TIMES = 4, SHARED = 0, MINUS = 0, STAGE = 2 };
  struct At { const unsigned char *q, *high, *levels, *d; };
  static __device__ __forceinline__ At at(const unsigned char *q, const unsigned char *scales, int w, int lane) {
    const int g = lane / 4;
    return {q + lane * 8, q + 256 + lane * 4, scales + (w * 8 + g) * 4, scales + 256 + g * 4};
  }
  // Two more bits of each integer: of the first 16 k in the middle of a byte, row g above; of the others around it.
  struct Bits {
    uint2 low;
    uint32_t high;
  };
  static __device__ __forceinline__ Bits bits(const At &from, int record) {
    return {*(const uint2 *)(from.q + record), *(const uint32_t *)(from.high + record)};
  }
  static __device__ __forceinline__ uint32_t any(const Bits &b) { return b.low.x | b.high; }
  static __device__ __forceinline__ uint4 registers(const Bits &b) {
    const uint32_t low = LOW_NIBBLES, middle = 0x3c3c3c3c;
    const uint32_t first = b.high & middle, second = __funnelshift_r(b.high, b.high, 4) & middle;
    return make_uint4(picked(low, b.low.x, first), picked(~low, b.low.x, first), picked(low, b.low.y, second), picked(~low, b.low.y, second));
  }
  struct Raw {
    uint32_t levels; // of each row and 16 k, 128 larger than in a file
    uint32_t d;
  };
  static __device__ __forceinline__ void load(const At &a, int record, Raw &r) {
    r.levels = *(const uint32_t *)(a.levels + record), r.d = *(const uint32_t *)(a.d + record);
  }
  static __device__ __forceinline__ uint32_t any(const Raw &r) { return r.levels | r.d; }
  static __device__ __forceinline__ float scale(const Raw &r, int h, int u) {
    // See Q4_K's level.
    const float by = h ? 1.0f / TIMES : 1, level = __uint_as_float(__byte_perm(r.levels, h ? 0x4a000000 : 0x4b000000, 0x7440 + 2 * h + u)) - ((1 << 23) + 128) * by;
    return (h ? high_half(r.d) : low_half(r.d)) * level;
  }
  static __device__ __forceinline__ float minus(const Raw &, int) { return 0; }
};
